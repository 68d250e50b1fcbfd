CREATE TABLE t (id int PRIMARY KEY, name text, at date)
;
CREATE TABLE u (id int PRIMARY KEY, t int, x numeric)
;
CREATE TABLE n (a int, b text)
;
INSERT INTO t VALUES (1, 'one', '2024-05-06'), (2, 'two, "b"', NULL), (3, NULL, NULL)
;
INSERT INTO u VALUES (10, 1, 1.50), (11, 1, NULL), (12, 9, 2)
;
INSERT INTO n VALUES (NULL, NULL), (1, 'x')
;
SELECT t FROM t
;
SELECT t.* FROM t, u WHERE u.t = t.id
;
SELECT x FROM t AS x WHERE x.id = 1
;
SELECT row_to_json(t) FROM t
;
SELECT to_json(t), to_jsonb(t) FROM t WHERE id < 3
;
SELECT replace(json_agg(t ORDER BY id DESC)::text, chr(10), '/'), jsonb_agg(t.* ORDER BY id) FROM t
;
SELECT row_to_json(s) FROM (SELECT id, upper(name) AS big FROM t) s
;
SELECT row_to_json(s) FROM (SELECT u.id, t FROM u JOIN t ON u.t = t.id) s
;
SELECT t.id, (SELECT replace(json_agg(u ORDER BY u.id)::text, chr(10), '/') FROM u WHERE u.t = t.id) FROM t
;
SELECT count(t), count(u), count(u.*), count(*) FROM t LEFT JOIN u ON u.t = t.id
;
SELECT t, u FROM t LEFT JOIN u ON u.t = t.id
;
SELECT t, u FROM t RIGHT JOIN u ON u.t = t.id
;
SELECT row_to_json(u), t.id FROM t LEFT JOIN u ON u.t = t.id
;
SELECT t.id FROM t LEFT JOIN u ON u.t = t.id WHERE u IS NULL
;
SELECT id, t IS NULL, t IS NOT NULL, NOT (t IS NULL) FROM t
;
SELECT n, n IS NULL, n IS NOT NULL FROM n
;
SELECT (t).name, (t).id + 1 FROM t
;
SELECT (s.r).id, (r).* FROM (SELECT t AS r FROM t) s
;
SELECT (s.r).missing FROM (SELECT t AS r FROM t) s
;
SELECT (ROW(1, 'a'::text)).f2
;
SELECT (id).x FROM t
;
SELECT ROW(t.*, 1), ROW(t, 2) FROM t
;
SELECT ROW(1, 'a b', NULL, ''), ROW()
;
SELECT a.id, b.id FROM t a, t b WHERE a = b
;
SELECT a.id FROM t a WHERE a.* = ROW(1, 'one'::text, '2024-05-06'::date)
;
SELECT DISTINCT t FROM t, u
;
SELECT t FROM t GROUP BY t
;
--ordered
SELECT t FROM t ORDER BY t DESC
;
SELECT t::text, length(t::text) FROM t
;
WITH c AS (SELECT t FROM t) SELECT (c.t).name FROM c
;
SELECT (SELECT row_to_json(t) FROM u WHERE u.t = t.id LIMIT 1) FROM t
;
SELECT (SELECT t) FROM t
;
SELECT (SELECT s FROM (SELECT t.*) s) FROM t
;
SELECT g, row_to_json(g) FROM (VALUES (1, 'a'), (2, 'b')) g(x, y)
;
SELECT s + 1 FROM generate_series(1, 2) s(i)
;
SELECT json_build_object('t', t) FROM t WHERE id = 1
;
SELECT json_object_agg(id, t) FROM t WHERE id = 1
;
SELECT * FROM u, LATERAL (VALUES (u.*)) v(a, b, c)
;
SELECT x FROM t x UNION SELECT y FROM t y
;
SELECT COALESCE(u, NULL) FROM t LEFT JOIN u ON u.t = t.id WHERE t.id = 3
;
SELECT missing FROM t
;
SELECT t.missing FROM t
;
SELECT replace(json_agg(u)::text, chr(10), '/') FROM t LEFT JOIN u ON u.t = t.id WHERE t.id > 1
;
SELECT (t).* FROM t
