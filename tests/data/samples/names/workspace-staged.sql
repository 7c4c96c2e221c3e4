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
INSERT INTO "execution_state__assets" VALUES('52M','Execution_Metadata/configuration.json','Execution_Metadata','deriva-ml','["Deriva_Config"]','{}','DerivaML execution configuration: datasets, assets, workflow, and config group choices','uploaded','52P','2026-11-22T08:03:47.897604+00:00',NULL,'2026-11-22T08:03:46.905951+00:00','2026-11-22T08:03:47.897604+00:00');
INSERT INTO "execution_state__assets" VALUES('52M','Execution_Metadata/environment_snapshot_20261122_080346.txt','Execution_Metadata','deriva-ml','["Runtime_Env"]','{}','Runtime environment snapshot: installed packages, OS, platform, and Python configuration','uploaded','52R','2026-11-22T08:03:47.891240+00:00',NULL,'2026-11-22T08:03:46.911800+00:00','2026-11-22T08:03:47.891240+00:00');
INSERT INTO "execution_state__assets" VALUES('52M','Execution_Asset/with space.txt','Execution_Asset','deriva-ml','["Prediction"]','{}',NULL,'pending','536',NULL,NULL,'2026-11-22T08:03:48.596018+00:00','2026-11-22T08:03:53.346056+00:00');
INSERT INTO "execution_state__assets" VALUES('52M','Execution_Asset/übergröße_日本.txt','Execution_Asset','deriva-ml','["Prediction"]','{}',NULL,'pending','538',NULL,NULL,'2026-11-22T08:03:48.599387+00:00','2026-11-22T08:03:53.348105+00:00');
INSERT INTO "execution_state__assets" VALUES('52M','Execution_Asset/archive.tar.gz','Execution_Asset','deriva-ml','["Prediction"]','{}',NULL,'pending','53A',NULL,NULL,'2026-11-22T08:03:48.603830+00:00','2026-11-22T08:03:53.349642+00:00');
INSERT INTO "execution_state__assets" VALUES('52M','Execution_Asset/v1.2.3-model.bin','Execution_Asset','deriva-ml','["Prediction"]','{}',NULL,'pending','53C',NULL,NULL,'2026-11-22T08:03:48.612034+00:00','2026-11-22T08:03:53.351435+00:00');
INSERT INTO "execution_state__assets" VALUES('52M','Execution_Asset/SCAN.PNG','Execution_Asset','deriva-ml','["Prediction"]','{}',NULL,'pending','53E',NULL,NULL,'2026-11-22T08:03:48.616315+00:00','2026-11-22T08:03:53.353027+00:00');
INSERT INTO "execution_state__assets" VALUES('52M','Execution_Asset/noextension','Execution_Asset','deriva-ml','["Prediction"]','{}',NULL,'pending','53G',NULL,NULL,'2026-11-22T08:03:48.623411+00:00','2026-11-22T08:03:53.355674+00:00');
INSERT INTO "execution_state__assets" VALUES('52M','Execution_Asset/paren(1).txt','Execution_Asset','deriva-ml','["Prediction"]','{}',NULL,'pending','53J',NULL,NULL,'2026-11-22T08:03:48.628776+00:00','2026-11-22T08:03:53.357234+00:00');
INSERT INTO "execution_state__assets" VALUES('52M','Execution_Asset/plus+amp&.txt','Execution_Asset','deriva-ml','["Prediction"]','{}',NULL,'pending','53M',NULL,NULL,'2026-11-22T08:03:48.633217+00:00','2026-11-22T08:03:53.360622+00:00');
INSERT INTO "execution_state__assets" VALUES('52M','Execution_Asset/percent%41.txt','Execution_Asset','deriva-ml','["Prediction"]','{}',NULL,'pending','53P',NULL,NULL,'2026-11-22T08:03:48.636870+00:00','2026-11-22T08:03:53.365546+00:00');
INSERT INTO "execution_state__assets" VALUES('52M','Execution_Asset/.hidden','Execution_Asset','deriva-ml','["Prediction"]','{}',NULL,'pending','53R',NULL,NULL,'2026-11-22T08:03:48.642530+00:00','2026-11-22T08:03:53.368484+00:00');
INSERT INTO "execution_state__assets" VALUES('52M','Execution_Asset/trailingdot.','Execution_Asset','deriva-ml','["Prediction"]','{}',NULL,'pending','53T',NULL,NULL,'2026-11-22T08:03:48.648660+00:00','2026-11-22T08:03:53.370653+00:00');
INSERT INTO "execution_state__assets" VALUES('52M','Execution_Asset/-implementations.log','Execution_Asset','deriva-ml','["Prediction"]','{}',NULL,'pending','53W',NULL,NULL,'2026-11-22T08:03:48.652945+00:00','2026-11-22T08:03:53.373080+00:00');
INSERT INTO "execution_state__assets" VALUES('52M','Execution_Asset/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.txt','Execution_Asset','deriva-ml','["Prediction"]','{}',NULL,'pending','53Y',NULL,NULL,'2026-11-22T08:03:48.655486+00:00','2026-11-22T08:03:53.375119+00:00');
INSERT INTO "execution_state__assets" VALUES('52M','Execution_Asset/empty_a5.bin','Execution_Asset','deriva-ml','["Prediction"]','{}',NULL,'pending','540',NULL,NULL,'2026-11-22T08:03:48.659615+00:00','2026-11-22T08:03:53.377019+00:00');
INSERT INTO "execution_state__assets" VALUES('52M','Execution_Asset/big_30mb.bin','Execution_Asset','deriva-ml','["Model_File"]','{}',NULL,'pending','542',NULL,NULL,'2026-11-22T08:03:50.627408+00:00','2026-11-22T08:03:53.389063+00:00');
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
INSERT INTO "execution_state__executions" VALUES('52M','4TG','names s9 A','{"datasets":[],"assets":[],"workflow":{"name":"sample writer","workflow_type":["Training"],"description":"sample","url":"https://github.com/example/project/blob/0123abc/train.py","version":"0.1.0","rid":null,"checksum":"0123abc","is_notebook":false,"git_root":null,"allow_dirty":false},"description":"names s9 A","argv":["train.py","--case","names"],"config_choices":{}}','Pending_Upload','online','execution/52M','2026-11-22 08:03:48.466731','2026-11-22 08:03:50.779452','2026-11-22 08:03:52.950267',NULL,0,'2026-11-22 08:03:48.413893');
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
INSERT INTO "schema_meta" VALUES(1,'2026-11-22 08:03:42');
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
