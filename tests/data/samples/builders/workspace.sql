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
INSERT INTO "execution_state__assets" VALUES('57P','Execution_Metadata/configuration.json','Execution_Metadata','deriva-ml','["Deriva_Config"]','{}','DerivaML execution configuration: datasets, assets, workflow, and config group choices','uploaded','57R','2026-11-22T08:04:31.958792+00:00',NULL,'2026-11-22T08:04:31.198049+00:00','2026-11-22T08:04:31.958792+00:00');
INSERT INTO "execution_state__assets" VALUES('57P','Execution_Metadata/environment_snapshot_20261122_080431.txt','Execution_Metadata','deriva-ml','["Runtime_Env"]','{}','Runtime environment snapshot: installed packages, OS, platform, and Python configuration','uploaded','57T','2026-11-22T08:04:31.973346+00:00',NULL,'2026-11-22T08:04:31.206406+00:00','2026-11-22T08:04:31.973346+00:00');
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
INSERT INTO "execution_state__executions" VALUES('57P','4TG','builders s9 A','{"datasets":[],"assets":[],"workflow":{"name":"sample writer","workflow_type":["Training"],"description":"sample","url":"https://github.com/example/project/blob/0123abc/train.py","version":"0.1.0","rid":null,"checksum":"0123abc","is_notebook":false,"git_root":null,"allow_dirty":false},"description":"builders s9 A","argv":["train.py","--case","builders"],"config_choices":{}}','Stopped','online','execution/57P','2026-11-22 08:04:32.529293','2026-11-22 08:04:32.690079','2026-11-22 08:04:32.690126',NULL,0,'2026-11-22 08:04:32.449316');
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
INSERT INTO "schema_meta" VALUES(1,'2026-11-22 08:04:28');
CREATE INDEX ix_assets_exec_status ON execution_state__assets (execution_rid, status);
CREATE INDEX ix_execution_state__feature_records_exec_status ON execution_state__feature_records (execution_rid, status);
CREATE INDEX ix_executions_last_activity ON execution_state__executions (last_activity);
CREATE INDEX ix_executions_sync_pending ON execution_state__executions (sync_pending) WHERE sync_pending;
CREATE INDEX ix_executions_workflow_rid ON execution_state__executions (workflow_rid);
CREATE INDEX ix_executions_status ON execution_state__executions (status);
CREATE INDEX ix_directory_rules_execution ON execution_state__directory_rules (execution_rid);
CREATE INDEX ix_pending_execution_rid_target_table ON execution_state__pending_rows (execution_rid, target_table);
CREATE INDEX ix_pending_execution_rid_status ON execution_state__pending_rows (execution_rid, status);
COMMIT;
