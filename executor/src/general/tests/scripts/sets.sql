CREATE TABLE a (x int, y text)
;
CREATE TABLE b (x int, y text)
;
INSERT INTO a VALUES (1,'a'),(1,'a'),(1,'a'),(2,'b'),(NULL,'n'),(NULL,'n'),(3,NULL)
;
INSERT INTO b VALUES (1,'a'),(2,'b'),(2,'b'),(NULL,'n'),(4,'d')
;
SELECT * FROM a UNION SELECT * FROM b
;
SELECT * FROM a UNION ALL SELECT * FROM b
;
SELECT * FROM a INTERSECT SELECT * FROM b
;
SELECT * FROM a INTERSECT ALL SELECT * FROM b
;
SELECT * FROM a EXCEPT SELECT * FROM b
;
SELECT * FROM a EXCEPT ALL SELECT * FROM b
;
SELECT * FROM b EXCEPT ALL SELECT * FROM a
;
SELECT x FROM a UNION SELECT x::bigint FROM b
;
SELECT 1.0 UNION SELECT 1.00
;
SELECT count(*) FROM (SELECT 1.0 UNION SELECT 1.00 UNION SELECT 2) s
;
SELECT x FROM a UNION ALL SELECT x FROM b UNION SELECT 9
;
(SELECT x FROM a ORDER BY x LIMIT 1) UNION ALL (SELECT x FROM b ORDER BY x DESC NULLS LAST LIMIT 1)
;
--ordered
SELECT x, y FROM a UNION SELECT x, y FROM b ORDER BY 1, 2
;
--ordered
SELECT x FROM a UNION ALL SELECT x FROM b ORDER BY x DESC NULLS LAST LIMIT 3
;
SELECT x FROM a EXCEPT SELECT x FROM b EXCEPT SELECT 3
;
SELECT generate_series(1, 3)
;
SELECT generate_series(1, 3), generate_series(1, 2)
;
SELECT x, generate_series(1, x) FROM b
;
SELECT * FROM generate_series(1, 10, 3)
;
SELECT * FROM generate_series(3, 1)
;
SELECT * FROM generate_series(1, NULL)
;
SELECT * FROM unnest(ARRAY['p', 'q']) WITH ORDINALITY
;
SELECT count(*), sum(g) FROM generate_series(1, 100000) g
;
SELECT g FROM generate_series(1, 1000000000) g LIMIT 2
;
SELECT unnest(ARRAY[1, 2]) + 10
;
SELECT count(*) FROM generate_series(1, 1000) a, generate_series(1, 100) b
;
SELECT sum(x) FROM (SELECT x FROM a UNION ALL SELECT x FROM b) u
