"""What no single contrast says: of whole tables, of data and settings, of theory; and what no table decides."""

from __future__ import annotations

from kdcheck.paper.statements.statement import expected, stated


@stated("appendix A.3, Table 8 beside 2")
def a3_entropy_smaller() -> None:
    """Entropies of DistilBERT compare between methods as they did at temperature 1."""


@stated("appendix A.3, Table 9 beside 3")
def a3_accuracy_smaller() -> None:
    """Accuracies of DistilBERT compare between methods as they did at temperature 1."""


@stated("appendix A.3, Table 10 beside 4")
def a3_entropy_larger() -> None:
    """Entropies of BERT show very similar trends as at temperature 1."""


@stated("appendix A.3, Table 11 beside 5")
def a3_accuracy_larger() -> None:
    """Accuracies of BERT show very similar trends as at temperature 1."""


@stated("appendix A.3, Tables 8 and 9 beside 2 and 3")
def a3_standard_and_self_kd() -> None:
    """Comparisons between standard and self-KD stay generally unchanged."""


@stated("appendix A.3, end; Tables 8 to 11")
def a3_findings_hold() -> None:
    """All findings of section 4 hold when temperature is tuned."""


@stated("appendix A.1, Table 6")
def table_6_fits_glue() -> None:
    """The splits are made of GLUE's published ones as the appendix says, and their sizes add up."""


@stated("Table 1 and appendix A.3")
def grid_sizes() -> None:
    """The grids of appendix A.3 have 1,960 points each, and label smoothing's has 28 equally spaced
    alphas.
    """


@expected("appendix A.2, Table 7")
def table_7_on_grid() -> None:
    """Every selected setting lies on its grid."""


@expected("appendix A.3, Table 12")
def table_12_on_grid() -> None:
    """Every selected setting lies on its grid, when temperature is tuned."""


@expected("Tables 7 and 12")
def selected_inside_grid() -> None:
    """Selected settings lie inside their grids, so that a wider grid would not have chosen otherwise."""


@expected("Tables 7 and 12")
def erm_settings_agree() -> None:
    """ERM has no temperature, so its selected settings are the same in both experiments."""


@expected("Tables 2 to 5 beside 8 to 11")
def same_settings_same_figures() -> None:
    """Cells of models whose selected settings are the same in both experiments are the same figure."""


@expected("Tables 2, 4, 8, 10")
def unlike_models_differ() -> None:
    """Models of unlike task, method or settings do not share an entropy to the fourth decimal."""


@expected("Tables 7 and 12")
def budgets_match() -> None:
    """KD is compared with ERM trained for as many epochs."""


@stated("section 3")
def uniform_target_raises_entropy() -> None:
    """Minimising the divergence of the model from the uniform distribution always raises entropy, so
    label smoothing trains less sure models than ERM.
    """


@expected("Tables 2, 4, 8, 10")
def entropies_in_range() -> None:
    """Entropies lie between 0 and log K nats."""


@expected(
    "appendix A.2, Table 7",
    undecidable="Our copy lacks the self-KD rows of MRPC, QNLI and SST-2; only MNLI's is there.",
)
def self_kd_settings_at_temperature_1() -> None:
    """Self-KD at temperature 1 was run with the selected settings of Table 7."""


@stated(
    "introduction",
    undecidable="Three of the four tasks have K = 2. There, distillation at temperature 1 equals "
    "smoothing by 2 alpha (1 - p_t(y)) per example, so no structure among wrong classes exists to be "
    "conveyed; MNLI alone (K = 3) could show it.",
)
def knowledge_at_two_classes() -> None:
    """A teacher conveys a finer view of the classes than uniform smoothing can."""


@stated(
    "section 4, caption of Table 5",
    undecidable="The paper does not say what makes two profiles similar.",
)
def dissimilar_profiles() -> None:
    """KD and label smoothing have generally dissimilar accuracy profiles on BERT."""


@stated(
    "section 4",
    undecidable="Offered as a possible explanation; no table varies the amount of data.",
)
def limited_data_explains_self_kd() -> None:
    """Self-KD may beat standard KD because the training data are too few for a student to mimic a
    larger teacher.
    """


@stated(
    "limitations",
    undecidable="A single seed shows what one model did. Whether KD lowers entropy needs its spread "
    "over seeds, and no table gives one.",
)
def one_seed_suffices() -> None:
    """For the direction of entropy one seed is enough, since one counterexample is."""
