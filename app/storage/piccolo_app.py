"""The Piccolo app: tables and migrations."""

from pathlib import Path

from piccolo.conf.apps import AppConfig, table_finder

APP_CONFIG = AppConfig(
    app_name="strata",
    migrations_folder_path=str(Path(__file__).parent / "piccolo_migrations"),
    table_classes=table_finder(
        modules=["app.storage.tables", "app.storage.webhook_tables", "app.storage.experiment_tables"]
    ),
    migration_dependencies=[],
    commands=[],
)
