CREATE TABLE t (id int PRIMARY KEY, g text, v int, x numeric)
;
INSERT INTO t VALUES (1,'a',10,1.5),(2,'a',20,2.5),(3,'a',20,NULL),(4,'b',NULL,4),(5,'b',5,4),(6,NULL,7,-1),(7,'a',NULL,3)
;
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY v), percentile_disc(0.5) WITHIN GROUP (ORDER BY v), mode() WITHIN GROUP (ORDER BY x) FROM t
;
SELECT g, percentile_cont(0.25) WITHIN GROUP (ORDER BY v DESC), percentile_disc(0.25) WITHIN GROUP (ORDER BY g), mode() WITHIN GROUP (ORDER BY v DESC) FROM t GROUP BY g
;
SELECT percentile_cont(ARRAY[0, 0.25, 1]) WITHIN GROUP (ORDER BY v), percentile_disc(ARRAY[[0, 1], [0.5, NULL]]) WITHIN GROUP (ORDER BY v) FROM t
;
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY v) FILTER (WHERE v > 5) FROM t
;
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY v) FROM t WHERE false
;
SELECT percentile_cont(2) WITHIN GROUP (ORDER BY v) FROM t
;
SELECT rank(15) WITHIN GROUP (ORDER BY v), dense_rank(25) WITHIN GROUP (ORDER BY v), percent_rank(20) WITHIN GROUP (ORDER BY v), cume_dist(20) WITHIN GROUP (ORDER BY v) FROM t
;
SELECT rank(NULL) WITHIN GROUP (ORDER BY v), rank(NULL) WITHIN GROUP (ORDER BY v NULLS FIRST), rank(6) WITHIN GROUP (ORDER BY v DESC), dense_rank(NULL) WITHIN GROUP (ORDER BY v) FROM t
;
SELECT g, rank('a', 15) WITHIN GROUP (ORDER BY g, v DESC), dense_rank('b', 6) WITHIN GROUP (ORDER BY g, v) FROM t GROUP BY g
;
SELECT percent_rank(1) WITHIN GROUP (ORDER BY v), cume_dist(1) WITHIN GROUP (ORDER BY v) FROM t WHERE false
;
SELECT rank(3) WITHIN GROUP (ORDER BY x) FILTER (WHERE g = 'a') FROM t
;
SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY d) FROM (VALUES (interval '1 day'), ('3 days'), ('2 days')) s(d)
;
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY d) FROM (VALUES (interval '1 day'), ('4 days')) s(d)
;
SELECT sum(v) WITHIN GROUP (ORDER BY v) FROM t
;
SELECT percentile_cont(0.5) FROM t
;
SELECT rank(1, 2) WITHIN GROUP (ORDER BY v) FROM t
;
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY v) OVER () FROM t
;
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY g) FROM t
;
SELECT DISTINCT FROM t
;
SELECT count(*) FROM (SELECT FROM t UNION SELECT FROM t) s
;
SELECT count(*) FROM (SELECT FROM t INTERSECT SELECT FROM t) s
;
SELECT count(*) FROM (SELECT FROM t EXCEPT SELECT FROM t) s
;
SELECT count(*) FROM (SELECT FROM t EXCEPT ALL SELECT FROM t WHERE v = 20) s
;
SELECT percentile_disc(g) WITHIN GROUP (ORDER BY v) FROM (VALUES (0.5, 1), (0.5, 2), (0.1, 3)) s(g, v) GROUP BY g
;
SELECT g, rank(v) WITHIN GROUP (ORDER BY v) FROM t GROUP BY g
;
SELECT v, rank(v) WITHIN GROUP (ORDER BY id) FROM t GROUP BY v
