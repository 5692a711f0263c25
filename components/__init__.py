"""WHAT the platform does: plain Python, one folder a stage, in the order data flows.

data -> pretrain -> finetune -> align -> compress -> release, and evals after each stage
"""
