"""What is known of chat models by their names: `limits`, `abilities`, what the user states (`own`), all of it on a `card`.

Later sources fill what earlier ones leave open: the user's own entries, ours with source and date, the profiles that LangChain's
packages carry, the data of `genai-prices`. Every fact says where it is from; what nobody knows is None.
"""
