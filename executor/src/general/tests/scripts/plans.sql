SELECT count(*), sum(x) FROM t WHERE y > 5
;
SELECT s FROM t WHERE k = 77
;
SELECT s FROM t WHERE k > 77
;
SELECT x, count(*) FROM t GROUP BY x ORDER BY 2 DESC LIMIT 3
;
SELECT k, s FROM t ORDER BY y DESC, k LIMIT 5
;
SELECT k FROM t LIMIT 5
;
SELECT b FROM big WHERE a = 5 AND b > 3
;
SELECT d.name, sum(t.y) FROM t JOIN d ON d.id = t.x WHERE d.name LIKE 'name 1%' GROUP BY d.name
;
SELECT k FROM t WHERE x > (SELECT avg(id) FROM d)
;
SELECT k FROM t WHERE EXISTS (SELECT 1 FROM d WHERE d.id = t.x AND d.id > 7)
;
SELECT k, (SELECT name FROM d WHERE id = t.x) FROM t WHERE y = (SELECT max(b) FROM big WHERE big.a = t.k)
;
SELECT k FROM t WHERE x NOT IN (SELECT id FROM d)
;
SELECT t.k FROM t LEFT JOIN d ON d.id = t.x WHERE d.name = 'name 1'
;
SELECT t.k FROM t, d, big WHERE t.x = d.id AND big.a = d.id AND d.id = 3
;
SELECT x FROM t UNION SELECT id FROM d
;
SELECT k FROM t WHERE false
;
SELECT 1
