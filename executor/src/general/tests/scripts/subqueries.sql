CREATE TABLE o (id int PRIMARY KEY, c int, v numeric)
;
CREATE TABLE i (id int PRIMARY KEY, o int, q int)
;
INSERT INTO o VALUES (1,10,1.5),(2,10,2.5),(3,20,3.5),(4,NULL,4.5),(5,30,NULL)
;
INSERT INTO i VALUES (1,1,5),(2,1,7),(3,2,NULL),(4,3,1),(5,NULL,2)
;
SELECT id FROM o WHERE EXISTS (SELECT 1 FROM i WHERE i.o = o.id)
;
SELECT id FROM o WHERE NOT EXISTS (SELECT 1 FROM i WHERE i.o = o.id)
;
SELECT id FROM o WHERE id IN (SELECT o FROM i)
;
SELECT id FROM o WHERE id NOT IN (SELECT o FROM i)
;
SELECT id FROM o WHERE id NOT IN (SELECT o FROM i WHERE o IS NOT NULL)
;
SELECT id FROM o WHERE c NOT IN (SELECT o FROM i WHERE o IS NOT NULL)
;
SELECT id FROM o WHERE c NOT IN (SELECT 1 WHERE false)
;
SELECT id, id IN (SELECT o FROM i), c IN (SELECT q FROM i) FROM o
;
SELECT id, (SELECT max(q) FROM i WHERE i.o = o.id) FROM o
;
SELECT id, (SELECT count(*) FROM i WHERE i.o = o.id) FROM o
;
SELECT id, (SELECT count(*) + 1 FROM i WHERE i.o = o.id AND q > 5) FROM o
;
SELECT id, (SELECT coalesce(sum(q), -1) FROM i WHERE i.o = o.id) FROM o
;
SELECT id FROM o WHERE v > (SELECT avg(v) FROM o)
;
SELECT id FROM o WHERE v > (SELECT avg(v) FROM o o2 WHERE o2.c = o.c)
;
SELECT id, (SELECT q FROM i WHERE i.o = o.id) FROM o WHERE id <> 1
;
SELECT id, (SELECT q FROM i WHERE i.o = o.id) FROM o
;
SELECT (SELECT q FROM i)
;
SELECT id, ARRAY(SELECT q FROM i WHERE i.o = o.id ORDER BY q) FROM o
;
SELECT id FROM o WHERE v > ALL (SELECT q FROM i WHERE i.o = 3)
;
SELECT id FROM o WHERE v > ALL (SELECT q FROM i WHERE i.o = o.id)
;
SELECT id FROM o WHERE v < ANY (SELECT q FROM i WHERE q IS NOT NULL)
;
SELECT id FROM o WHERE (id, c) IN (SELECT o, o * 10 FROM i)
;
SELECT id FROM o WHERE EXISTS (SELECT 1 FROM i WHERE i.o = o.id AND EXISTS (SELECT 1 FROM o o3 WHERE o3.id = i.q - o.id - 2))
;
SELECT id, CASE WHEN id = 1 THEN 0 ELSE (SELECT q FROM i WHERE i.o = o.id) END FROM o
;
SELECT id FROM o WHERE id = 1 OR EXISTS (SELECT 1 FROM i WHERE i.o = o.id AND q = 1)
;
SELECT id FROM o WHERE (SELECT count(*) FROM i WHERE i.o = o.id) = 0
;
SELECT id FROM o WHERE (SELECT count(*) FROM i WHERE i.o = o.id) > 0 AND c = 10
;
SELECT c, (SELECT count(*) FROM i WHERE i.o > o.c / 10) FROM o GROUP BY c
;
--ordered
SELECT id FROM o ORDER BY (SELECT max(q) FROM i WHERE i.o = o.id) NULLS FIRST, id
;
WITH x AS (SELECT id, v FROM o WHERE v > 2) SELECT a.id, b.id FROM x a JOIN x b ON a.id < b.id
;
WITH x AS (SELECT id FROM o), y AS (SELECT id FROM x WHERE id > 2) SELECT * FROM y
;
WITH x AS MATERIALIZED (SELECT id FROM o) SELECT count(*) FROM x WHERE id > 1
;
WITH x AS (SELECT 1 / 0) SELECT 1
;
WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT * FROM t
;
WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT n FROM t LIMIT 4
;
WITH RECURSIVE t(n) AS (SELECT 1 UNION SELECT (n + 1) % 3 FROM t) SELECT * FROM t
;
WITH RECURSIVE t(n, path) AS (SELECT id, id::text FROM i WHERE o IS NULL UNION ALL SELECT i.id, t.path || '/' || i.id::text FROM i, t WHERE i.o = t.n - 4) SELECT * FROM t
;
WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t WHERE n < 3) SELECT a.n, b.n FROM t a, t b WHERE a.n < b.n
;
SELECT id, (WITH w AS (SELECT q FROM i WHERE i.o = o.id) SELECT max(q) FROM w) FROM o
;
SELECT (SELECT max(x.id) FROM (SELECT id FROM o WHERE id < 4) x)
;
SELECT id FROM o WHERE id IN (SELECT i.o FROM i WHERE i.q > o.c)
;
SELECT id FROM o WHERE id NOT IN (SELECT i.q FROM i WHERE i.o = o.id)
;
SELECT id FROM o WHERE id IN (VALUES (1), (3))
;
SELECT id, (SELECT x FROM (SELECT o.v + 1 AS x) s) FROM o
;
SELECT id FROM o WHERE id < 3 LIMIT 2
;
SELECT id FROM o WHERE c = (SELECT c FROM o WHERE id = 1)
;
SELECT id FROM o WHERE c = (SELECT c FROM o WHERE id > 100)
;
SELECT (SELECT id FROM o WHERE id = 1), EXISTS (SELECT 1 FROM o WHERE id = 99)
;
SELECT g.x, (SELECT count(*) FROM o WHERE id <= g.x) FROM generate_series(1, 3) g(x)
;
SELECT id FROM o WHERE EXISTS (SELECT 1 FROM i WHERE i.o = o.id LIMIT 0)
;
SELECT id FROM o WHERE EXISTS (SELECT count(*) FROM i WHERE i.o = o.id)
;
SELECT id, EXISTS (SELECT 1 FROM i WHERE i.o = o.id) AS e FROM o
;
SELECT id FROM o WHERE EXISTS (SELECT 1 FROM i WHERE i.o = o.id AND i.q > o.v)
;
SELECT id FROM o WHERE EXISTS (SELECT 1 FROM i WHERE i.o < o.id)
;
SELECT id FROM o WHERE c IN (SELECT c FROM o x WHERE x.id <> o.id)
;
SELECT id, (SELECT min(x.id) FROM o x WHERE x.c = o.c AND x.id > o.id) FROM o
;
SELECT id FROM o WHERE id = (SELECT max(i.o) FROM i WHERE i.o <= o.id)
