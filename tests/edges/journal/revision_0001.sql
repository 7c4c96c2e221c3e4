BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE batch (
	file_id BIGINT NOT NULL, 
	first BIGINT NOT NULL, 
	digests BLOB NOT NULL, 
	rids JSON, 
	recorded BOOLEAN NOT NULL, 
	PRIMARY KEY (file_id, first), 
	FOREIGN KEY(file_id) REFERENCES file (id)
);
INSERT INTO "batch" VALUES(2,0,X'01010101010101010101010101010101','["1-A",null]',1);
CREATE TABLE damaged_journal (
	at DATETIME NOT NULL, 
	path BLOB NOT NULL, 
	why TEXT NOT NULL, 
	PRIMARY KEY (path)
);
INSERT INTO "damaged_journal" VALUES('2026-03-01 12:00:00.123456',X'2F7661722F6C69622F6465726976612D77617463682F6A6F75726E616C2E64622E64616D616765642D3230323630323238543132303030302E3030303030305A','it was damaged');
CREATE TABLE digest (
	execution_id BIGINT NOT NULL, 
	size_bytes BIGINT NOT NULL, 
	mtime_ns BIGINT NOT NULL, 
	device BIGINT NOT NULL, 
	inode BIGINT NOT NULL, 
	md5 TEXT NOT NULL, 
	sha256 TEXT NOT NULL, 
	ctime_ns BIGINT, 
	PRIMARY KEY (execution_id, device, inode), 
	FOREIGN KEY(execution_id) REFERENCES execution (id)
);
INSERT INTO "digest" VALUES(1,3,1,2,-1,'00000000000000000000000000000000','0000000000000000000000000000000000000000000000000000000000000000',NULL);
CREATE TABLE execution (
	id INTEGER NOT NULL, 
	prefix BLOB NOT NULL, 
	rid TEXT NOT NULL, 
	server TEXT NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	changed_at DATETIME NOT NULL, 
	next_at DATETIME, 
	attempts BIGINT NOT NULL, 
	digest TEXT, 
	verdict JSON, 
	what TEXT, 
	why TEXT, 
	next TEXT, 
	status_set TEXT, 
	ours BOOLEAN NOT NULL, 
	basis TEXT, 
	unit TEXT, 
	execution_rid TEXT, 
	removal JSON, 
	held JSON, 
	checked_ns BIGINT, 
	verified_at DATETIME, 
	proved_at DATETIME, 
	proof JSON, 
	differs JSON, 
	PRIMARY KEY (id), 
	CONSTRAINT execution_is_one UNIQUE (server, prefix, rid)
);
INSERT INTO "execution" VALUES(1,X'2F64617461','4-AB2C','example.org/1','refused','2026-03-01 12:00:00.123456',NULL,0,NULL,'{"rules":["quiet"]}','cannot upload it','it is not ours','retry 4-AB2C',NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "execution" VALUES(2,X'2F696E737472756D656E74','overview 1','example.org/1','refused','2026-03-01 12:00:00.123456',NULL,0,NULL,NULL,'cancelled by jane','no reason was given','`deriva-watch retry ''overview 1''` takes it up again.',NULL,0,NULL,'directory',NULL,NULL,'{"kind":"cancelled","by":"jane","since":"2026-03-01T12:00:00.123456+00:00","reason":null,"until":null}',NULL,NULL,NULL,NULL,NULL);
CREATE TABLE file (
	id INTEGER NOT NULL, 
	execution_id BIGINT NOT NULL, 
	path BLOB NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	changed_at DATETIME NOT NULL, 
	size_bytes BIGINT NOT NULL, 
	mtime_ns BIGINT NOT NULL, 
	device BIGINT NOT NULL, 
	inode BIGINT NOT NULL, 
	statement TEXT, 
	md5 TEXT, 
	sha256 TEXT, 
	"table" TEXT, 
	url TEXT, 
	rid TEXT, 
	adopted BOOLEAN NOT NULL, 
	rows BIGINT, 
	job JSON, 
	names JSON, 
	types JSON, 
	removal JSON, 
	held JSON, 
	what TEXT, 
	why TEXT, 
	next TEXT, 
	ctime_ns BIGINT, 
	PRIMARY KEY (id), 
	CONSTRAINT file_is_one UNIQUE (execution_id, path), 
	FOREIGN KEY(execution_id) REFERENCES execution (id)
);
INSERT INTO "file" VALUES(1,1,X'61737365742FFF2E746966','recorded','2026-03-01 12:00:00.123456',3,1,2,-1,NULL,'00000000000000000000000000000000','0000000000000000000000000000000000000000000000000000000000000000','S:T','/hatrac/a:1','4-AB2D',0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "file" VALUES(2,1,X'7461626C652F612F422F422E637376','found','2026-03-01 12:00:00.123456',9,1,2,3,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE file_count (
	execution_id BIGINT NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	files BIGINT NOT NULL, 
	bytes BIGINT NOT NULL, 
	PRIMARY KEY (execution_id, state), 
	FOREIGN KEY(execution_id) REFERENCES execution (id)
);
INSERT INTO "file_count" VALUES(1,'found',1,9);
INSERT INTO "file_count" VALUES(1,'hashed',0,0);
INSERT INTO "file_count" VALUES(1,'recorded',1,3);
CREATE TABLE history (
	id INTEGER NOT NULL, 
	execution_id BIGINT NOT NULL, 
	file_id BIGINT, 
	at DATETIME NOT NULL, 
	"trigger" TEXT, 
	"before" TEXT, 
	"after" TEXT NOT NULL, 
	detail JSON NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(execution_id) REFERENCES execution (id), 
	FOREIGN KEY(file_id) REFERENCES file (id)
);
INSERT INTO "history" VALUES(1,1,NULL,'2026-03-01 12:00:00.123456',NULL,NULL,'filling','{}');
INSERT INTO "history" VALUES(2,1,1,'2026-03-01 12:00:00.123456',NULL,NULL,'found','{"size_bytes":3,"mtime_ns":1,"device":2,"inode":18446744073709551615}');
INSERT INTO "history" VALUES(3,1,2,'2026-03-01 12:00:00.123456',NULL,NULL,'found','{"size_bytes":9,"mtime_ns":1,"device":2,"inode":3}');
INSERT INTO "history" VALUES(4,1,1,'2026-03-01 12:00:00.123456','hashed','found','hashed','{"md5":"00000000000000000000000000000000","sha256":"0000000000000000000000000000000000000000000000000000000000000000","job":{"url":"/hatrac/a;upload/1","chunks":[0]}}');
INSERT INTO "history" VALUES(5,1,NULL,'2026-03-01 12:00:00.123456','completed','filling','ready','{"verdict":{"rules":["quiet"]}}');
INSERT INTO "history" VALUES(6,1,NULL,'2026-03-01 12:00:00.123456','claimed','ready','uploading','{}');
INSERT INTO "history" VALUES(7,1,1,'2026-03-01 12:00:00.123456','stored','hashed','stored','{"url":"/hatrac/a:1","seconds":0.5}');
INSERT INTO "history" VALUES(8,1,1,'2026-03-01 12:00:00.123456','recorded','stored','recorded','{"rid":"4-AB2D","table":"S:T"}');
INSERT INTO "history" VALUES(9,1,NULL,'2026-03-01 12:00:00.123456','refused','uploading','refused','{"what":"cannot upload it","why":"it is not ours","next":"retry 4-AB2C"}');
INSERT INTO "history" VALUES(10,2,NULL,'2026-03-01 12:00:00.123456',NULL,NULL,'filling','{}');
INSERT INTO "history" VALUES(11,2,NULL,'2026-03-01 12:00:00.123456','cancelled','filling','refused','{"what":"cancelled by jane","why":"no reason was given","next":"`deriva-watch retry ''overview 1''` takes it up again."}');
CREATE TABLE pause (
	held JSON NOT NULL
);
INSERT INTO "pause" VALUES('{"kind":"paused","by":"jane","since":"2026-03-01T12:00:00.123456+00:00","reason":"maintenance","until":null}');
CREATE TABLE sample (
	at DATETIME NOT NULL, 
	sent_bytes BIGINT NOT NULL, 
	backlog_files BIGINT NOT NULL, 
	backlog_bytes BIGINT NOT NULL, 
	PRIMARY KEY (at)
);
INSERT INTO "sample" VALUES('2026-03-01 12:00:00.000000',3,1,9);
CREATE TABLE uptime (
	boot TEXT NOT NULL, 
	boot_s DOUBLE NOT NULL, 
	total_s DOUBLE NOT NULL
);
INSERT INTO "uptime" VALUES('boot',5.0,0.0);
CREATE INDEX execution_by_state ON execution (state, changed_at);
CREATE INDEX execution_held ON execution (id) WHERE held IS NOT NULL;
CREATE INDEX execution_by_proof ON execution (proved_at) WHERE proved_at IS NOT NULL;
CREATE INDEX execution_by_verification ON execution (verified_at) WHERE proved_at IS NOT NULL;
CREATE INDEX execution_differs ON execution (id) WHERE differs IS NOT NULL;
CREATE INDEX execution_by_next_at ON execution (state, next_at);
CREATE INDEX file_by_url ON file (url);
CREATE INDEX file_by_inode ON file (inode);
CREATE INDEX file_held ON file (id) WHERE held IS NOT NULL;
CREATE INDEX file_by_state ON file (state, execution_id);
CREATE INDEX file_with_job ON file (id) WHERE job IS NOT NULL;
CREATE INDEX file_with_removal ON file (id) WHERE removal IS NOT NULL;
CREATE INDEX history_of_stored ON history (at) WHERE after = 'stored';
CREATE INDEX history_by_execution ON history (execution_id, file_id);
CREATE INDEX history_of_executions ON history ("after", at) WHERE file_id IS NULL;
COMMIT;
