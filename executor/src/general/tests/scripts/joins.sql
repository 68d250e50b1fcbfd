CREATE TABLE l (a int PRIMARY KEY, b text, n numeric)
;
CREATE TABLE r (a int, c text, n numeric)
;
INSERT INTO l VALUES (1,'x',1.0),(2,'y',2.0),(3,'z',NULL),(4,NULL,4.50)
;
INSERT INTO r VALUES (1,'r1',1.00),(1,'r1b',NULL),(3,'r3',4.5),(5,'r5',9),(NULL,'rn',2)
;
SELECT * FROM l JOIN r ON l.a = r.a
;
SELECT * FROM l LEFT JOIN r ON l.a = r.a
;
SELECT * FROM l RIGHT JOIN r ON l.a = r.a
;
SELECT * FROM l FULL JOIN r ON l.a = r.a
;
SELECT * FROM l CROSS JOIN r
;
SELECT l.a, r.c FROM l, r WHERE l.a < r.a
;
SELECT l.a, r.c FROM l LEFT JOIN r ON l.a < r.a
;
SELECT l.a, r.c FROM l RIGHT JOIN r ON l.a < r.a AND l.b = 'x'
;
SELECT l.a, r.c FROM l FULL JOIN r ON l.n = r.n
;
SELECT l.a, r.c FROM l JOIN r ON l.n = r.n
;
SELECT l.a, r.c FROM l LEFT JOIN r ON l.a = r.a AND r.c LIKE '%b'
;
SELECT l.a, r.c FROM l LEFT JOIN r ON l.a = r.a WHERE r.c IS NULL
;
SELECT * FROM l JOIN r USING (a)
;
SELECT * FROM l FULL JOIN r USING (a)
;
SELECT * FROM l NATURAL JOIN r
;
SELECT x.a, y.a FROM l x JOIN l y ON x.a = y.a + 1
;
SELECT l.a, r.c, q.b FROM l JOIN r ON l.a = r.a JOIN l q ON q.a = r.a
;
SELECT l.a, s.c FROM l LEFT JOIN (SELECT a, max(c) AS c FROM r GROUP BY a) s ON s.a = l.a
;
SELECT l.a, s.x FROM l, LATERAL (SELECT l.a * 10 AS x) s
;
SELECT l.a, s.c FROM l, LATERAL (SELECT c FROM r WHERE r.a = l.a) s
;
SELECT l.a, s.c FROM l LEFT JOIN LATERAL (SELECT c FROM r WHERE r.a = l.a ORDER BY c LIMIT 1) s ON true
;
SELECT l.a, s.c FROM l LEFT JOIN LATERAL (SELECT c FROM r WHERE r.a >= l.a) s ON s.c <> 'r5'
;
SELECT l.a, g FROM l, generate_series(1, l.a) g
;
SELECT l.a, g FROM l LEFT JOIN generate_series(2, l.a) g ON true
;
SELECT l.a, u.x, u.o FROM l, unnest(ARRAY[l.a, l.a * 2]) WITH ORDINALITY u(x, o)
;
SELECT l.a, s.g FROM l, LATERAL (SELECT g FROM generate_series(1, l.a) g WHERE g > 1) s
;
SELECT count(*) FROM l a, l b, l c WHERE a.a = b.a AND b.a = c.a
;
SELECT count(*) FROM l LEFT JOIN r ON l.a = r.a LEFT JOIN l z ON z.n = r.n
;
SELECT l.a FROM l LEFT JOIN r ON false
;
SELECT l.a, r.a FROM l JOIN r ON true WHERE l.a = 1
;
SELECT l.a FROM l JOIN r ON l.a = r.a AND l.b = 'x' AND r.c = 'r1'
;
SELECT l.a, r.a FROM l LEFT JOIN r ON l.a = r.a AND l.a > 1
;
SELECT l.a, r.a FROM l FULL JOIN r ON l.a = r.a AND l.a > 1
;
SELECT l.a, r.a FROM l JOIN r ON l.a IS NOT DISTINCT FROM r.a
;
SELECT l.a, (SELECT count(*) FROM r WHERE r.a = l.a) FROM l
;
SELECT l.a, r.c FROM l LEFT JOIN r ON r.a = l.a AND EXISTS (SELECT 1 FROM l z WHERE z.a = r.a AND z.b = 'z')
;
SELECT l.a, r.c FROM l JOIN r ON r.a = l.a AND EXISTS (SELECT 1 FROM l z WHERE z.a = r.a AND z.b = l.b)
