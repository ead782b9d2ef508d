"""The types that refer to one another, as annotations: each is looked up when the schema is built."""

from typing import TYPE_CHECKING, Annotated, TypeAlias

import strawberry

if TYPE_CHECKING:
    from schema.documents import DocumentConnection, ResolvedDocument
    from schema.environments import EnvironmentNode
    from schema.experiment_metrics import ExperimentMetrics
    from schema.experiments import ExperimentNode
    from schema.generations import GenerationNode
    from schema.history import ChangeNode
    from schema.promotions import PromotionNode
    from schema.releases import ReleaseNode

AnEnvironment: TypeAlias = Annotated["EnvironmentNode", strawberry.lazy("schema.environments")]
AGeneration: TypeAlias = Annotated["GenerationNode", strawberry.lazy("schema.generations")]
ADocument: TypeAlias = Annotated["ResolvedDocument", strawberry.lazy("schema.documents")]
ADocumentPage: TypeAlias = Annotated["DocumentConnection", strawberry.lazy("schema.documents")]
AChange: TypeAlias = Annotated["ChangeNode", strawberry.lazy("schema.history")]
APromotion: TypeAlias = Annotated["PromotionNode", strawberry.lazy("schema.promotions")]
ARelease: TypeAlias = Annotated["ReleaseNode", strawberry.lazy("schema.releases")]
AnExperiment: TypeAlias = Annotated["ExperimentNode", strawberry.lazy("schema.experiments")]
TheMetrics: TypeAlias = Annotated["ExperimentMetrics", strawberry.lazy("schema.experiment_metrics")]
