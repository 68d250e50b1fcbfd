CREATE TABLE t (a int PRIMARY KEY, b text, c numeric(10,2), d float8, e date, f bool)
;
INSERT INTO t VALUES (1,'one',1.50,1.5,'2024-01-01',true),(2,'two',2.25,-0.0,'2024-02-01',false),(3,NULL,NULL,NULL,NULL,NULL),(4,'four',4.00,'NaN','2024-03-01',true),(5,'five',-5.5,'Infinity','2023-12-31',false)
;
SELECT * FROM t
;
SELECT a + 1, b || '!', c * 2, d, e + 1, NOT f FROM t
;
SELECT a FROM t WHERE a > 2
;
SELECT a FROM t WHERE a = 3
;
SELECT a FROM t WHERE a IN (1, 3, 7)
;
SELECT a FROM t WHERE a BETWEEN 2 AND 4 AND b IS NOT NULL
;
SELECT a FROM t WHERE a = ANY (ARRAY[2,5,9])
;
SELECT a FROM t WHERE b = 'two' OR c < 0
;
SELECT a FROM t WHERE a <> 0 AND 10 / a > 4
;
SELECT a FROM t WHERE a = 99
;
SELECT a FROM t WHERE a < 1
;
SELECT a FROM t WHERE false
;
SELECT a FROM t WHERE NULL
;
SELECT 1 / (a - 1) FROM t
;
SELECT a FROM t WHERE 1 / (a - 1) = 0
;
SELECT a, CASE WHEN a = 1 THEN 0 ELSE 1 / (a - 1) END FROM t
;
SELECT a, coalesce(b, 'none'), coalesce(c, 0) FROM t
;
--ordered
SELECT a FROM t ORDER BY c
;
--ordered
SELECT a FROM t ORDER BY c DESC
;
--ordered
SELECT a FROM t ORDER BY d NULLS FIRST, a
;
--ordered
SELECT a FROM t ORDER BY d DESC, a
;
--ordered
SELECT b FROM t ORDER BY b DESC NULLS LAST LIMIT 2
;
--ordered
SELECT a FROM t ORDER BY a LIMIT 2 OFFSET 1
;
--ordered
SELECT a FROM t ORDER BY a OFFSET 3
;
--ordered
SELECT a FROM t ORDER BY a LIMIT NULL
;
SELECT count(*) FROM (SELECT a FROM t LIMIT 3) s
;
SELECT a FROM t LIMIT 0
;
SELECT a FROM t LIMIT -1
;
SELECT a FROM t OFFSET -1
;
SELECT 1, 'x', NULL, 1.50
;
VALUES (1, 'a'), (2, NULL), (3, 'c')
;
SELECT x + 1, y FROM (VALUES (1, 'a'), (2, 'b')) v(x, y) WHERE x > 1
;
SELECT d IS NULL, d = 'NaN', d > 1, d = 0 FROM t WHERE a = 4 OR a = 2 OR a = 3
;
SELECT a, b IS DISTINCT FROM 'two', c IS NOT DISTINCT FROM NULL FROM t
;
SELECT f IS TRUE, f IS NOT FALSE, f IS UNKNOWN FROM t
;
SELECT a FROM t WHERE f
;
SELECT a FROM t WHERE c = 2.250
;
SELECT a FROM t WHERE c IN (1.5, 4)
;
SELECT a FROM t WHERE b LIKE '%o%'
;
SELECT a FROM t WHERE b NOT IN ('one', 'two')
;
SELECT a FROM t WHERE a NOT IN (1, NULL)
;
SELECT a FROM t WHERE b IN ('one', NULL)
;
SELECT a::text, c::int, e::timestamp, a::float8 / 2 FROM t
;
SELECT a FROM t WHERE (a, b) = (1, 'one')
;
SELECT ARRAY[a, a + 1], (ARRAY[10, 20, 30])[a] FROM t
;
SELECT ROW(a, b) IS NULL, ROW(a, b) IS NOT NULL FROM t
;
SELECT 2147483647 + a FROM t
;
--ordered
SELECT a % 2 AS m, a FROM t ORDER BY m, a DESC
;
--ordered
SELECT a FROM t ORDER BY a FETCH FIRST 2 ROWS ONLY
;
CREATE TABLE ties (x int, y int)
;
INSERT INTO ties VALUES (1, 1), (2, 1), (2, 2), (2, 3), (3, 1), (NULL, 1)
;
--ordered
SELECT x FROM ties ORDER BY x FETCH FIRST 2 ROWS WITH TIES
;
--ordered
SELECT x FROM ties ORDER BY x OFFSET 1 FETCH FIRST 1 ROW WITH TIES
;
CREATE TABLE h (k int PRIMARY KEY, v text) WITH (shards = 4, shard_by = 'hash')
;
INSERT INTO h SELECT a * 10, b FROM t
;
--ordered
SELECT * FROM h ORDER BY k
;
SELECT v FROM h WHERE k = 20
;
SELECT v FROM h WHERE k IN (10, 50, 60)
;
SELECT k FROM h WHERE k > 20
;
SELECT count(*) FROM h
;
--ordered
SELECT k FROM h ORDER BY v LIMIT 2
;
SELECT count(*) FROM (SELECT k FROM h LIMIT 3) x
;
CREATE TABLE two (a int, b text, c int, PRIMARY KEY (a, b))
;
INSERT INTO two SELECT x, y, x * 10 FROM (VALUES (1,'a'),(1,'b'),(2,'a'),(2,'b'),(3,'c')) v(x,y)
;
SELECT c FROM two WHERE a = 1
;
SELECT c FROM two WHERE a = 2 AND b > 'a'
;
SELECT c FROM two WHERE a = 2 AND b = 'b'
;
SELECT c FROM two WHERE a IN (1, 3) AND b IN ('a', 'c')
;
SELECT c FROM two WHERE b = 'b'
;
SELECT a FROM two WHERE a > 1 AND a <= 2
;
SELECT a FROM two WHERE 2 <= a
;
SELECT a FROM two WHERE a = 1 AND a = 2
;
SELECT a FROM two WHERE a = 3000000000
;
SELECT a FROM two WHERE a < 3000000000 AND a > 2
