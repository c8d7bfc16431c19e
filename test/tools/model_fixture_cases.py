"""The models that model-fixtures.py writes: an architecture, and what differs from COMMON there.

An option that is `...` is left out.
"""

LONGROPE = dict(
    rope_type="longrope",
    rope_theta=10000.0,
    short_factor=[1.0, 1.1, 1.3, 1.5],
    long_factor=[1.2, 2.0, 4.0, 8.0],
    original_max_position_embeddings=32,
)
YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=16)

LATENT = dict(
    **dict(num_key_value_heads=4, kv_lora_rank=32, q_lora_rank=None, head_dim=8),
    **dict(qk_nope_head_dim=16, qk_rope_head_dim=8, v_head_dim=16),
    **dict(num_experts_per_tok=2, moe_intermediate_size=40, topk_method="greedy"),
    **dict(n_group=1, topk_group=1, routed_scaling_factor=1.0),
)

CASES = {
    "apertus": ("ApertusForCausalLM", dict(rope_parameters=dict(rope_type="default", rope_theta=1e5))),
    "arcee": ("ArceeForCausalLM", dict(attention_bias=True, mlp_bias=True, head_dim=12)),
    "bloom-5-heads": (
        "BloomForCausalLM",
        dict(
            **dict(hidden_size=40, num_attention_heads=5),
            apply_residual_connection_post_layernorm=True,
        ),
    ),
    "cohere-qk-norm": (
        "CohereForCausalLM",
        dict(use_qk_norm=True, attention_bias=True, tie_word_embeddings=True, logit_scale=0.5),
    ),
    "cohere2": (
        "Cohere2ForCausalLM",
        dict(num_hidden_layers=4, sliding_window=9, attention_bias=True, logit_scale=0.3),
    ),
    "deepseek-v2-lite": (
        "DeepseekV2ForCausalLM",
        dict(LATENT, n_routed_experts=6, n_shared_experts=2, first_k_dense_replace=1),
    ),
    "deepseek-v2-yarn": (
        "DeepseekV2ForCausalLM",
        dict(
            dict(LATENT, q_lora_rank=24, topk_method="group_limited_greedy"),
            **dict(n_routed_experts=8, n_shared_experts=1, first_k_dense_replace=0),
            **dict(n_group=4, topk_group=2, routed_scaling_factor=4.0),
            rope_parameters=dict(YARN, mscale=0.707, mscale_all_dim=0.707),
        ),
    ),
    "ernie4-5-moe": (
        "Ernie4_5_MoeForCausalLM",
        dict(
            **dict(num_hidden_layers=3, moe_num_experts=6, moe_k=2, moe_intermediate_size=24),
            **dict(moe_num_shared_experts=2, tie_word_embeddings=True),
        ),
    ),
    "exaone": ("ExaoneForCausalLM", dict()),
    "ernie4-5": ("Ernie4_5ForCausalLM", dict(use_bias=True, head_dim=16)),
    "exaone4": ("Exaone4ForCausalLM", dict(num_hidden_layers=4, sliding_window=10)),
    "exaone4-full": (
        "Exaone4ForCausalLM",
        dict(sliding_window=None, layer_types=["full_attention"] * 2),
    ),
    "falcon-7b": ("FalconForCausalLM", dict(multi_query=True, new_decoder_architecture=False)),
    "falcon-rw": (
        "FalconForCausalLM",
        dict(multi_query=False, parallel_attn=False, alibi=True, bias=True),
    ),
    "falcon-11b": (
        "FalconForCausalLM",
        dict(new_decoder_architecture=True, num_kv_heads=2, num_ln_in_parallel_attn=1, bias=True),
    ),
    "gemma": ("GemmaForCausalLM", dict(head_dim=12, num_key_value_heads=1)),
    "gemma3-scaled": (
        "Gemma3ForCausalLM",
        dict(
            **dict(num_hidden_layers=3, head_dim=12, sliding_window=7, query_pre_attn_scalar=20),
            layer_types=["sliding_attention", "full_attention", "sliding_attention"],
            rope_parameters=dict(
                full_attention=dict(rope_type="linear", factor=4.0, rope_theta=100000.0),
                sliding_attention=dict(rope_type="default", rope_theta=5000.0),
            ),
            final_logit_softcapping=12.0,
        ),
    ),
    "glm": ("GlmForCausalLM", dict(head_dim=8)),
    "glm4": ("Glm4ForCausalLM", dict(head_dim=16, attention_bias=False)),
    "gpt2-scaled": (
        "GPT2LMHeadModel",
        dict(n_positions=128, scale_attn_by_inverse_layer_idx=True, activation_function="quick_gelu"),
    ),
    "gptj": ("GPTJForCausalLM", dict(n_positions=128, rotary_dim=4)),
    "gpt-neox-serial": (
        "GPTNeoXForCausalLM",
        dict(use_parallel_residual=False, attention_bias=False, rotary_pct=0.5),
    ),
    "granite-hybrid": (
        "GraniteMoeHybridForCausalLM",
        dict(
            **dict(num_local_experts=4, num_experts_per_tok=2, shared_intermediate_size=40),
            **dict(layer_types=["full_attention"] * 2, mamba_n_heads=8, logits_scaling=2.0),
            **dict(attention_multiplier=0.2, position_embedding_type="rope"),
        ),
    ),
    "helium": ("HeliumForCausalLM", dict(head_dim=8, num_key_value_heads=4)),
    "hunyuan-dense": (
        "HunYuanDenseV1ForCausalLM",
        dict(
            **dict(head_dim=12, attention_bias=True),
            rope_parameters=dict(rope_type="dynamic", alpha=50.0, factor=1.0, rope_theta=10000.0),
        ),
    ),
    "hunyuan-moe": ("HunYuanMoEV1ForCausalLM", dict(num_experts=5, moe_topk=2, head_dim=12)),
    "lfm2-moe": (
        "Lfm2MoeForCausalLM",
        dict(
            **dict(num_hidden_layers=4, num_dense_layers=1, num_experts=6, num_experts_per_tok=2),
            **dict(moe_intermediate_size=24, routed_scaling_factor=1.5, tie_word_embeddings=True),
            layer_types=["conv", "full_attention"] * 2,
        ),
    ),
    "lfm2": (
        "Lfm2ForCausalLM",
        dict(
            **dict(num_hidden_layers=5, full_attn_idxs=[2, 4], conv_bias=True, conv_L_cache=4),
            **dict(block_multiple_of=24, tie_word_embeddings=False),
        ),
    ),
    "llama-linear": (
        "LlamaForCausalLM",
        dict(rope_parameters=dict(rope_type="linear", factor=4.0, rope_theta=10000.0)),
    ),
    "llama-yarn": ("LlamaForCausalLM", dict(rope_parameters=YARN)),
    "ministral": (
        "MinistralForCausalLM",
        dict(layer_types=["sliding_attention", "full_attention"], sliding_window=6, head_dim=12),
    ),
    "ministral3": (
        "Ministral3ForCausalLM",
        dict(
            head_dim=16,
            rope_parameters=dict(YARN, factor=16.0, llama_4_scaling_beta=0.1),
        ),
    ),
    "mpt": (
        "MptForCausalLM",
        dict(
            **dict(hidden_size=36, num_attention_heads=6, max_seq_len=128),
            attn_config=dict(clip_qkv=1.5, softmax_scale=0.5),
        ),
    ),
    "nemotron": ("NemotronForCausalLM", dict(attention_bias=True, mlp_bias=True)),
    "olmo": ("OlmoForCausalLM", dict(clip_qkv=0.8)),
    "olmo3": (
        "Olmo3ForCausalLM",
        dict(num_hidden_layers=4, sliding_window=8, rope_parameters=...),
    ),
    "opt-350m": (
        "OPTForCausalLM",
        dict(do_layer_norm_before=False, word_embed_proj_dim=16, ffn_dim=48),
    ),
    "opt-bare": (
        "OPTForCausalLM",
        dict(enable_bias=False, layer_norm_elementwise_affine=False, ffn_dim=48),
    ),
    "phi": ("PhiForCausalLM", dict(qk_layernorm=True)),
    "phi3-longrope": (
        "Phi3ForCausalLM",
        dict(original_max_position_embeddings=32, rope_parameters=LONGROPE),
    ),
    "phi3-partial": ("Phi3ForCausalLM", dict(partial_rotary_factor=0.5, sliding_window=11)),
    "qwen2-window": (
        "Qwen2ForCausalLM",
        dict(use_sliding_window=True, sliding_window=5, max_window_layers=1),
    ),
    "seed-oss": ("SeedOssForCausalLM", dict(head_dim=16, attention_out_bias=True, mlp_bias=True)),
    "stablelm": (
        "StableLmForCausalLM",
        dict(qk_layernorm=True, use_qkv_bias=True, partial_rotary_factor=0.5),
    ),
    "stablelm-parallel": ("StableLmForCausalLM", dict(use_parallel_residual=True)),
    "starcoder2": ("Starcoder2ForCausalLM", dict(sliding_window=12)),
    "starcoder2-unbiased": ("Starcoder2ForCausalLM", dict(use_bias=False)),
    "granite-moe": (
        "GraniteMoeForCausalLM",
        dict(
            **dict(num_local_experts=5, num_experts_per_tok=2, embedding_multiplier=3.0),
            **dict(attention_multiplier=0.2, residual_multiplier=0.5, logits_scaling=2.0),
        ),
    ),
    "olmoe": (
        "OlmoeForCausalLM",
        dict(num_experts=6, num_experts_per_tok=2, norm_topk_prob=False),
    ),
    "qwen2-moe": (
        "Qwen2MoeForCausalLM",
        dict(
            **dict(num_hidden_layers=3, num_experts=6, num_experts_per_tok=2),
            **dict(moe_intermediate_size=40, shared_expert_intermediate_size=56),
            **dict(decoder_sparse_step=1, mlp_only_layers=[1], norm_topk_prob=False),
        ),
    ),
}
