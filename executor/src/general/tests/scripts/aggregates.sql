CREATE TABLE s (g text, x int, y numeric(12,3), z float8, PRIMARY KEY (x)) WITH (shards = 3, shard_by = 'hash')
;
INSERT INTO s VALUES ('a',1,1.5,1),('a',2,2.25,2),('b',3,NULL,3),('b',4,4,NULL),(NULL,5,5.125,-0.0),('a',6,1.50,0.0),('c',7,NULL,NULL)
;
SELECT count(*), count(y), sum(x), avg(x), min(x), max(x) FROM s
;
SELECT sum(y), avg(y), min(y), max(y), sum(z), avg(z) FROM s
;
SELECT g, count(*), sum(x), sum(y) FROM s GROUP BY g
;
SELECT g, count(*) FROM s GROUP BY g HAVING count(*) > 1
;
SELECT y, count(*) FROM s GROUP BY y
;
SELECT z, count(*) FROM s GROUP BY z
;
SELECT count(*), sum(x) FROM s WHERE x > 100
;
SELECT g, sum(x) FROM s WHERE x > 100 GROUP BY g
;
SELECT count(DISTINCT g), count(DISTINCT y), sum(DISTINCT x % 3) FROM s
;
SELECT g, count(*) FILTER (WHERE x > 2), sum(x) FILTER (WHERE y IS NOT NULL) FROM s GROUP BY g
;
SELECT array_agg(x ORDER BY x DESC) FROM s
;
SELECT g, array_agg(x ORDER BY x), string_agg(x::text, ',' ORDER BY x DESC) FROM s GROUP BY g
;
SELECT string_agg(DISTINCT g, '-') FROM s
;
SELECT x % 2, count(*) FROM s GROUP BY x % 2
;
SELECT x % 2 + 1, count(*), max(g) FROM s GROUP BY 1
;
SELECT DISTINCT g FROM s
;
SELECT DISTINCT y FROM s
;
SELECT DISTINCT g, x % 2 FROM s
;
--ordered
SELECT DISTINCT g FROM s ORDER BY g DESC
;
--ordered
SELECT DISTINCT ON (g) g, x FROM s ORDER BY g, x DESC
;
SELECT g, x % 2, count(*) FROM s GROUP BY GROUPING SETS ((g, x % 2), (g), ())
;
SELECT g, x % 2 AS m, sum(x), GROUPING(g), GROUPING(g, x % 2) FROM s GROUP BY ROLLUP (g, x % 2)
;
SELECT g, y, count(*) FROM s GROUP BY CUBE (g, y)
;
SELECT count(*) FROM s WHERE x > 100 GROUP BY GROUPING SETS (())
;
SELECT g, count(*) FROM s WHERE x > 100 GROUP BY GROUPING SETS ((g), ())
;
SELECT bool_and(x > 0), bool_or(x > 6), every(x < 5) FROM s
;
SELECT sum(c) FROM (SELECT count(*) AS c FROM s GROUP BY g) q
;
--ordered
SELECT g, sum(x) AS t FROM s GROUP BY g ORDER BY t DESC, g
;
--ordered
SELECT g FROM s GROUP BY g ORDER BY count(*) DESC, g LIMIT 1
;
SELECT max(x) - min(x), sum(x) / count(*) FROM s
;
SELECT stddev(x), variance(x) FROM s
;
SELECT sum(x::bigint), avg(x::bigint), sum(z::float4) FROM s
;
SELECT array_agg(q.x) FROM (SELECT x FROM s ORDER BY x DESC) q
;
SELECT min(g), max(g), min(y), max(z) FROM s WHERE g IS NOT NULL
;
SELECT 1 FROM s HAVING count(*) > 3
;
SELECT 1 FROM s HAVING count(*) > 30
;
SELECT count(*) FROM (SELECT 1 FROM s GROUP BY g, x % 2) q
