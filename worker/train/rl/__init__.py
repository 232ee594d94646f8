"""Reinforced alignment: the reward, the prompts, the rollouts, and GRPO over them (arXiv 2506.07736, section 3)."""
