CREATE TABLE p (id int PRIMARY KEY, a int, b text, c numeric)
;
CREATE INDEX ON p (a, b)
;
CREATE UNIQUE INDEX ON p (c)
;
CREATE TABLE f (id int PRIMARY KEY, p int, q bigint) WITH (shards = 4, shard_by = 'hash')
;
CREATE INDEX ON f (p)
;
INSERT INTO p SELECT g, g % 50, 'b' || (g % 7)::text, CASE WHEN g % 10 = 0 THEN NULL ELSE g * 1.5 END FROM generate_series(1, 1500) g
;
INSERT INTO f SELECT g, g % 300, g % 40 FROM generate_series(1, 3000) g
;
SELECT count(*), sum(id) FROM p WHERE a = 7
;
SELECT id FROM p WHERE a = 7 AND b = 'b3'
;
SELECT id FROM p WHERE a = 7 AND b > 'b4' AND id > 500
;
SELECT id, b FROM p WHERE c = 150.0
;
SELECT id FROM p WHERE c = 1.5 OR id = 3
;
SELECT count(*) FROM p WHERE c IS NULL
;
SELECT id FROM p WHERE a IN (3, 4) AND b = 'b1'
;
SELECT f.id, p.b FROM f JOIN p ON p.id = f.p WHERE f.id = 77
;
SELECT count(*), sum(f.id) FROM p JOIN f ON f.p = p.id WHERE p.id = 5
;
SELECT count(*), sum(f.id) FROM p JOIN f ON f.p = p.id WHERE p.a = 5 AND p.b = 'b1'
;
SELECT p.id, f.id FROM p LEFT JOIN f ON f.p = p.id AND f.q > 20 WHERE p.id IN (5, 299, 1400)
;
SELECT p.id FROM p WHERE p.id IN (SELECT q FROM f WHERE f.id < 4)
;
SELECT f.id FROM f WHERE f.q IN (SELECT id FROM p WHERE p.c = 3.0)
;
SELECT p.id FROM p WHERE p.id < 5 AND NOT EXISTS (SELECT 1 FROM f WHERE f.p = p.id AND f.q = p.id)
;
SELECT a.id, b.id, c.id FROM p a JOIN f b ON b.p = a.id JOIN p c ON c.id = b.q WHERE a.id = 17
;
SELECT count(*) FROM f, p WHERE f.p = p.id AND f.q = p.a AND p.id = 40
;
SELECT id FROM p WHERE a = NULL
;
SELECT p.id, (SELECT count(*) FROM f WHERE f.p = p.id) FROM p WHERE p.id <= 3
;
SELECT id FROM p LIMIT (SELECT 0)
;
SELECT count(*) FROM (SELECT id FROM p LIMIT (SELECT 3) OFFSET (SELECT 2)) s
;
--ordered
SELECT id FROM p WHERE a = 7 ORDER BY id DESC LIMIT 3
;
SELECT count(*) FROM p WHERE a = 7 AND a = 8
