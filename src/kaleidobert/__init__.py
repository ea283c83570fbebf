"""Kaleido-BERT: fine-grained vision-language pre-training for product catalogues."""
