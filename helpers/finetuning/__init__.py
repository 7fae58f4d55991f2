"""Fine-tune an encoder on dependency parsing (Dep), inference (NLI) or question answering (QA).

``training.finetune`` trains a model and stores it, ``prediction`` applies one. What a task is, its encoding,
head, loss, prediction, score and baselines, is one module in ``tasks``; nothing else in this room knows a
task by name. ``batches`` pads inputs, ``blocks`` freezes, cuts off or re-initialises an encoder's blocks.
"""
