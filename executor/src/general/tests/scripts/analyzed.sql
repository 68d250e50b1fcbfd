SELECT count(*) FROM t
;
SELECT x, sum(y) FROM t WHERE x < 3 GROUP BY x
;
SELECT k, s FROM t ORDER BY y DESC, k LIMIT 10
;
SELECT k, s FROM t WHERE x = 4
;
SELECT a, b FROM big WHERE a = 7
;
SELECT d.name, count(*) FROM t JOIN d ON d.id = t.x GROUP BY d.name
