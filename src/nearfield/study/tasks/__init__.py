"""What an embedding is good for: retrieval, labelling, tempo and key, each figure with its interval and its chance.

Every task ends in measures (row.py), from which rows and paired differences of two embeddings are made the same way.
"""
