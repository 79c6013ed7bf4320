"""Proofs: what the marts say, held against the known truth of many generated worlds."""

from proofs.alerts import ALERTS_PROOF
from proofs.delay import DELAY
from proofs.drift import DRIFT
from proofs.monitoring import MONITORING
from proofs.performance import PERFORMANCE
from proofs.projection import PROJECTION
from proofs.reserve import RESERVE
from proofs.scoring import SCORING
from proofs.sellers import SELLERS_PROOF

PROOFS = {
    proof.name: proof
    for proof in (
        PROJECTION,
        DELAY,
        RESERVE,
        SELLERS_PROOF,
        ALERTS_PROOF,
        SCORING,
        PERFORMANCE,
        DRIFT,
        MONITORING,
    )
}
