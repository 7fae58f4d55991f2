"""What several rooms must spell alike: models, their headline scores, layers, seeds."""

MODELS = ("Dep", "NLI", "QA")  # fine-tuned
BASELINES = ("Lexical", "Random")  # the embeddings of Base, and the encoder before any training
ORDER = (*MODELS, "Base", "Random", "Lexical")  # of tables and legends
HEADLINE = {"Dep": "las", "NLI": "accuracy", "QA": "f1"}  # the score that each is judged by
LAST = 11  # the claims name the layers of an encoder of twelve blocks
RANDOM_SEED = 1000  # of the randomly initialised encoder
BOOTSTRAP_SEED = 0
STRUCTURAL = {  # the measures of structural probes
    "uuas": "UUAS",
    "distance_spearman": "distance Spearman",
    "root_acc": "root accuracy",
    "depth_spearman": "depth Spearman",
}
SYNTACTIC = ("POS", "Constituents", "Dependencies", "SRL")  # probing tasks
SEMANTIC = ("Entities", "Coreference", "SPR", "Relations")
