"""Fine-tune an encoder on dependency parsing (Dep), inference (NLI) or question answering (QA).

``training.finetune`` trains and stores a model, ``prediction`` applies and scores one; ``heads``, ``data``,
``trees`` and ``metrics`` are what they are made of.
"""
