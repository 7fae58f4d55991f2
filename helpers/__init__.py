"""Analyses of what fine-tuning does to a language model's representations.

The rooms, in the direction in which data flows: profiles, corpora, encoders, pretraining and
finetuning, the measures (similarity), statistics, analyses, plotting, book. Import what you need
(``import helpers.similarity``); importing the package itself loads nothing.
"""
