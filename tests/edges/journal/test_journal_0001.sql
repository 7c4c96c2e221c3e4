BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE execution (
	id INTEGER NOT NULL, 
	prefix BLOB NOT NULL, 
	rid TEXT NOT NULL, 
	server TEXT NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	changed_at DATETIME NOT NULL, 
	next_at DATETIME, 
	attempts INTEGER NOT NULL, 
	digest TEXT, 
	verdict JSON, 
	what TEXT, 
	why TEXT, 
	next TEXT, 
	status_set TEXT, 
	ours BOOLEAN NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT execution_is_one UNIQUE (server, prefix, rid)
);
INSERT INTO "execution" VALUES(1,X'2F64617461','4-AB2C','example.org/1','refused','2026-03-01 12:00:00.123456',NULL,0,NULL,'{"rules":["quiet"]}','cannot upload it','it is not ours','retry 4-AB2C',NULL,0);
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
	job JSON, 
	what TEXT, 
	why TEXT, 
	next TEXT, 
	PRIMARY KEY (id), 
	CONSTRAINT file_is_one UNIQUE (execution_id, path), 
	FOREIGN KEY(execution_id) REFERENCES execution (id)
);
INSERT INTO "file" VALUES(1,1,X'61737365742FFF2E746966','found','2026-03-01 12:00:00.123456',3,1,2,-1,NULL,NULL,NULL,NULL,'/hatrac/a:1',NULL,0,NULL,NULL,NULL,NULL);
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
INSERT INTO "history" VALUES(3,1,NULL,'2026-03-01 12:00:00.123456','rejected','filling','refused','{"verdict":{"rules":["quiet"]},"what":"cannot upload it","why":"it is not ours","next":"retry 4-AB2C"}');
CREATE INDEX execution_by_state ON execution (state, changed_at);
CREATE INDEX execution_by_next_at ON execution (state, next_at);
CREATE INDEX file_by_url ON file (url);
CREATE INDEX file_by_state ON file (state);
CREATE INDEX history_by_execution ON history (execution_id, file_id);
COMMIT;
