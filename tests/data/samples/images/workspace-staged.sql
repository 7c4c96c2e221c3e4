BEGIN TRANSACTION;
CREATE TABLE execution_state__assets (
	execution_rid VARCHAR NOT NULL, 
	"key" VARCHAR NOT NULL, 
	asset_table VARCHAR NOT NULL, 
	schema VARCHAR NOT NULL, 
	asset_types JSON, 
	metadata JSON, 
	description TEXT, 
	status VARCHAR NOT NULL, 
	rid VARCHAR, 
	uploaded_at VARCHAR, 
	error TEXT, 
	created_at VARCHAR NOT NULL, 
	updated_at VARCHAR NOT NULL, 
	PRIMARY KEY (execution_rid, "key")
);
INSERT INTO "execution_state__assets" VALUES('4X8','Execution_Metadata/configuration.json','Execution_Metadata','deriva-ml','["Deriva_Config"]','{}','DerivaML execution configuration: datasets, assets, workflow, and config group choices','uploaded','4XA','2026-11-22T08:03:16.324841+00:00',NULL,'2026-11-22T08:03:15.606295+00:00','2026-11-22T08:03:16.324841+00:00');
INSERT INTO "execution_state__assets" VALUES('4X8','Execution_Metadata/environment_snapshot_20261122_080315.txt','Execution_Metadata','deriva-ml','["Runtime_Env"]','{}','Runtime environment snapshot: installed packages, OS, platform, and Python configuration','uploaded','4XC','2026-11-22T08:03:16.329012+00:00',NULL,'2026-11-22T08:03:15.612558+00:00','2026-11-22T08:03:16.329012+00:00');
INSERT INTO "execution_state__assets" VALUES('4X8','Image/full.png','Image','demo','["Image", "Thumb Nail"]','{"Subject": "4T6", "Observation": "4TE", "Acquisition_Date": "2026-03-04", "Acquisition_Time": "2026-03-04T05:06:07"}',NULL,'pending','4XT',NULL,NULL,'2026-11-22T08:03:17.377227+00:00','2026-11-22T08:03:18.900442+00:00');
INSERT INTO "execution_state__assets" VALUES('4X8','Image/only_subject.png','Image','demo','["Image"]','{"Subject": "4T8"}',NULL,'pending','4XW',NULL,NULL,'2026-11-22T08:03:17.381043+00:00','2026-11-22T08:03:18.902127+00:00');
INSERT INTO "execution_state__assets" VALUES('4X8','Image/linked.png','Image','demo','["Image"]','{"Subject": "4T8", "Acquisition_Date": "2026-05-06"}','symlinked','pending','4XY',NULL,NULL,'2026-11-22T08:03:17.385874+00:00','2026-11-22T08:03:18.903535+00:00');
INSERT INTO "execution_state__assets" VALUES('4X8','Image/copied.png','Image','demo','["Image"]','{"Subject": "4TA", "Observation": "4TE"}',NULL,'pending','4Y0',NULL,NULL,'2026-11-22T08:03:17.391762+00:00','2026-11-22T08:03:18.905197+00:00');
INSERT INTO "execution_state__assets" VALUES('4X8','Image/renamed_scan.png','Image','demo','["Image"]','{"Subject": "4TA"}',NULL,'pending','4Y2',NULL,NULL,'2026-11-22T08:03:17.396275+00:00','2026-11-22T08:03:18.906435+00:00');
INSERT INTO "execution_state__assets" VALUES('4X8','Image/later.png','Image','demo','["Thumb Nail"]','{"Acquisition_Time": "2026-01-02T03:04:05.678", "Subject": "4TC"}',NULL,'pending','4Y4',NULL,NULL,'2026-11-22T08:03:17.401305+00:00','2026-11-22T08:03:18.907777+00:00');
INSERT INTO "execution_state__assets" VALUES('4X8','Image/same.png','Image','demo','["Image"]','{"Subject": "4TC"}',NULL,'pending','4Y6',NULL,NULL,'2026-11-22T08:03:17.411104+00:00','2026-11-22T08:03:18.909442+00:00');
INSERT INTO "execution_state__assets" VALUES('4X8','BoundingBox/same.png','BoundingBox','demo','["BoundingBox"]','{}',NULL,'pending','4Y8',NULL,NULL,'2026-11-22T08:03:17.417509+00:00','2026-11-22T08:03:18.911120+00:00');
INSERT INTO "execution_state__assets" VALUES('4X8','Execution_Asset/twin_a.bin','Execution_Asset','deriva-ml','["Model_File"]','{}',NULL,'pending','4YA',NULL,NULL,'2026-11-22T08:03:17.420666+00:00','2026-11-22T08:03:18.912538+00:00');
INSERT INTO "execution_state__assets" VALUES('4X8','Execution_Asset/twin_b.bin','Execution_Asset','deriva-ml','["Model_File"]','{}',NULL,'pending','4YC',NULL,NULL,'2026-11-22T08:03:17.425299+00:00','2026-11-22T08:03:18.913858+00:00');
CREATE TABLE execution_state__directory_rules (
	id INTEGER NOT NULL, 
	execution_rid VARCHAR NOT NULL, 
	target_schema VARCHAR NOT NULL, 
	target_table VARCHAR NOT NULL, 
	source_dir VARCHAR NOT NULL, 
	"glob" VARCHAR NOT NULL, 
	recurse BOOLEAN NOT NULL, 
	copy_files BOOLEAN NOT NULL, 
	asset_types_json TEXT, 
	status VARCHAR NOT NULL, 
	created_at DATETIME NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT fk_directory_rules_execution_rid_fkey FOREIGN KEY(execution_rid) REFERENCES execution_state__executions (rid)
);
CREATE TABLE execution_state__executions (
	rid VARCHAR NOT NULL, 
	workflow_rid VARCHAR, 
	description TEXT, 
	config_json TEXT NOT NULL, 
	status VARCHAR NOT NULL, 
	mode VARCHAR NOT NULL, 
	working_dir_rel VARCHAR NOT NULL, 
	start_time DATETIME, 
	stop_time DATETIME, 
	last_activity DATETIME NOT NULL, 
	error TEXT, 
	sync_pending BOOLEAN NOT NULL, 
	created_at DATETIME NOT NULL, 
	PRIMARY KEY (rid)
);
INSERT INTO "execution_state__executions" VALUES('4X8','4TG','images s9 A','{"datasets":[],"assets":[],"workflow":{"name":"sample writer","workflow_type":["Training"],"description":"sample","url":"https://github.com/example/project/blob/0123abc/train.py","version":"0.1.0","rid":null,"checksum":"0123abc","is_notebook":false,"git_root":null,"allow_dirty":false},"description":"images s9 A","argv":["train.py","--case","images"],"config_choices":{}}','Pending_Upload','online','execution/4X8','2026-11-22 08:03:17.215564','2026-11-22 08:03:17.427552','2026-11-22 08:03:18.785489',NULL,0,'2026-11-22 08:03:17.154077');
CREATE TABLE execution_state__feature_records (
	stage_id INTEGER NOT NULL, 
	execution_rid VARCHAR NOT NULL, 
	feature_table VARCHAR NOT NULL, 
	feature_name VARCHAR NOT NULL, 
	target_table VARCHAR NOT NULL, 
	record_json TEXT NOT NULL, 
	created_at VARCHAR NOT NULL, 
	status VARCHAR NOT NULL, 
	uploaded_at VARCHAR, 
	error TEXT, 
	PRIMARY KEY (stage_id)
);
CREATE TABLE execution_state__pending_rows (
	id INTEGER NOT NULL, 
	execution_rid VARCHAR NOT NULL, 
	"key" VARCHAR NOT NULL, 
	target_schema VARCHAR NOT NULL, 
	target_table VARCHAR NOT NULL, 
	rid VARCHAR, 
	lease_token VARCHAR, 
	metadata_json TEXT NOT NULL, 
	asset_file_path VARCHAR, 
	asset_types_json TEXT, 
	description TEXT, 
	status VARCHAR NOT NULL, 
	error TEXT, 
	created_at DATETIME NOT NULL, 
	leased_at DATETIME, 
	uploaded_at DATETIME, 
	rule_id INTEGER, 
	PRIMARY KEY (id), 
	CONSTRAINT fk_pending_rows_execution_rid_fkey FOREIGN KEY(execution_rid) REFERENCES execution_state__executions (rid), 
	CONSTRAINT fk_pending_rows_rule_id_fkey FOREIGN KEY(rule_id) REFERENCES execution_state__directory_rules (id)
);
CREATE TABLE schema_meta (  version INTEGER PRIMARY KEY,  recorded_at TEXT NOT NULL DEFAULT (datetime('now')));
INSERT INTO "schema_meta" VALUES(1,'2026-11-22 08:03:12');
CREATE INDEX ix_assets_exec_status ON execution_state__assets (execution_rid, status);
CREATE INDEX ix_execution_state__feature_records_exec_status ON execution_state__feature_records (execution_rid, status);
CREATE INDEX ix_executions_workflow_rid ON execution_state__executions (workflow_rid);
CREATE INDEX ix_executions_status ON execution_state__executions (status);
CREATE INDEX ix_executions_last_activity ON execution_state__executions (last_activity);
CREATE INDEX ix_executions_sync_pending ON execution_state__executions (sync_pending) WHERE sync_pending;
CREATE INDEX ix_directory_rules_execution ON execution_state__directory_rules (execution_rid);
CREATE INDEX ix_pending_execution_rid_target_table ON execution_state__pending_rows (execution_rid, target_table);
CREATE INDEX ix_pending_execution_rid_status ON execution_state__pending_rows (execution_rid, status);
COMMIT;
