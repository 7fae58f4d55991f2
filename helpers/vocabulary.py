"""What several rooms must spell alike: models, their headline scores, layers, seeds."""

MODELS = ("Dep", "NLI", "QA")  # fine-tuned
BASELINES = ("Lexical", "Random")  # the embeddings of Base, and the encoder before any training
ORDER = (*MODELS, "Base", "Random", "Lexical")  # of tables and legends
HEADLINE = {"Dep": "las", "NLI": "accuracy", "QA": "f1"}  # the score that each is judged by
LAST = 11  # the claims name the layers of an encoder of twelve blocks
RANDOM_SEED = 1000  # of the randomly initialised encoder
BOOTSTRAP_SEED = 0
OVER_SEEDS = "_over_seeds"  # added to an analysis's name where its rows are over all fine-tuning seeds
STRUCTURAL = {  # the measures of structural probes
    "uuas": "UUAS",
    "distance_spearman": "distance Spearman",
    "root_acc": "root accuracy",
    "depth_spearman": "depth Spearman",
}
SYNTACTIC = ("POS", "Constituents", "Dependencies", "SRL")  # probing tasks
SEMANTIC = ("Entities", "Coreference", "SPR", "Relations")
CONTROLS = ("random_init", "shuffled_labels")  # of fine-tuning
ANALYSES = {  # by the name of the table that each writes, in the order of a whole run
    "finetuning": "scores of the fine-tuned models, and of what chance and shortcuts reach",
    "corpus_baselines": "what each corpus gives away without a model",
    "pair_probe": "whether an encoder that was not tuned tells NLI's labels apart",
    "rsa": "similarity of the fine-tuned encoders to Base, by layer",
    "rsa_between_layers": "what each block of Base does: similarity of its layers to the ones below",
    "rsa_by_rate": "the same with all tasks tuned at equal rates",
    "out_of_domain": "the same on a task's own text and on text of other domains",
    "structural_probe": "how much of the dependency tree each layer shows",
    "edge_probing": "what each layer shows of parts of speech, roles, entities, relations and more",
    "control_task": "how much of that is the probes' own learning",
    "partial_freezing": "scores with the lower layers frozen",
    "truncation": "scores with the upper layers cut off",
    "reinitialisation": "scores with the upper layers re-initialised",
    "controls": "the same scores, similarities and probes where training taught no task",
    "description_length": "how many bits probes of each layer save in sending parts of speech",
    "amnesic": "scores of models whose heads see states without parts of speech or relations",
    "training_dynamics": "the same along the steps of training, and with more records to train on",
    "similarity_measures": "similarity to Base by six measures, and of all layers with one another",
}
