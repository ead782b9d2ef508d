"""Tables of A/B tests, as Piccolo knows them."""

from piccolo.columns import UUID, BigInt, Boolean, Integer, Numeric, SmallInt, Text, Timestamptz
from piccolo.table import Table


class Experiment(Table, tablename="experiment"):
    project_id = Integer()
    uuid = UUID(primary_key=True)
    env_a_uuid = UUID()
    env_b_uuid = UUID()
    split_pct = SmallInt()
    ab_seed = Text()
    metric = Text()
    status = Text()
    winner = Text(null=True)
    declared = Text(null=True)
    promotion_uuid = UUID(null=True)
    reason = Text(null=True)
    created_by = Text()
    created_at = Timestamptz()
    ended_at = Timestamptz(null=True)


class ExperimentExposure(Table, tablename="experiment_exposure"):
    project_id = Integer()
    test_uuid = UUID()
    user_uuid = Text(primary_key=True)
    variant = Text()
    quarantined = Boolean()
    exposed_at = Timestamptz()


class ExperimentResult(Table, tablename="experiment_result"):
    project_id = Integer()
    test_uuid = UUID()
    user_uuid = Text(primary_key=True)
    value = Numeric(null=True)
    created_at = Timestamptz()


class ExperimentTally(Table, tablename="experiment_tally"):
    project_id = Integer()
    test_uuid = UUID()
    shard = SmallInt(primary_key=True)
    variant = Text()
    exposed = BigInt()
    converted = BigInt()
    exposures_repeated = BigInt()
    results_repeated = BigInt()
    quarantined = BigInt()
    valued = BigInt()
    value_sum = Numeric()
    value_squares = Numeric()
