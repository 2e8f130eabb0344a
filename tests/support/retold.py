# SPDX-License-Identifier: Apache-2.0
"""The systems of `examples/attention` again, each from its paper and in another hand; nothing is imported.

Products are einsums, pieces are cut by index tables and kept in buffers, axes lie in other orders.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

SIDE, CHANNELS, DIM, HEADS = 4, 3, 24, 3
PATCHES = SIDE * SIDE
IMAGE = (CHANNELS, 4 * SIDE, 4 * SIDE)


class Embedding(nn.Module):
    """Patches by an index table: [B, 3, 16, 16] -> [B, 16, 24]."""

    table: Tensor

    def __init__(self) -> None:
        super().__init__()
        pixels = torch.arange(math.prod(IMAGE)).reshape(CHANNELS, SIDE, 4, SIDE, 4)
        self.register_buffer("table", pixels.permute(1, 3, 2, 4, 0).reshape(PATCHES, -1), persistent=False)
        self.weight = nn.Parameter(torch.empty(DIM, 16 * CHANNELS))
        self.pos_embed = nn.Parameter(torch.empty(PATCHES, DIM))

    def forward(self, img: Tensor) -> Tensor:
        patches = img.flatten(1)[:, self.table]
        return torch.einsum("bnp,dp->bnd", patches, self.weight) + self.pos_embed


class Classifier(nn.Module):
    """Embedding, stages, a norm, the mean, the classes."""

    def __init__(self, *stages: nn.Module) -> None:
        super().__init__()
        self.embedding, self.stages = Embedding(), nn.ModuleList(stages)
        self.ln, self.fc = nn.LayerNorm(DIM), nn.Linear(DIM, 6)

    def forward(self, img: Tensor) -> Tensor:
        x = self.embedding(img)
        for stage in self.stages:
            x = stage(x)
        return self.fc(torch.einsum("bnd->bd", self.ln(x)) / x.size(1))


def mlp(dim: int = DIM, hidden: int = 40) -> nn.Sequential:
    return nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))


class Residual(nn.Module):
    """x + f(x), one after another."""

    def __init__(self, *functions: nn.Module) -> None:
        super().__init__()
        self.fns = nn.ModuleList(functions)

    def forward(self, x: Tensor) -> Tensor:
        for fn in self.fns:
            x = fn(x) + x
        return x


class EfficientProbe(nn.Module):
    """Queries of heads over the tokens; the values' channels are cut among the queries."""

    def __init__(self, queries: int = 6) -> None:
        super().__init__()
        self.embedding, self.body = Embedding(), Residual(mlp())
        self.cls_queries = nn.Parameter(torch.empty(queries, DIM))
        self.wv, self.m = nn.Linear(DIM, DIM), queries
        self.norm_out, self.fc = nn.BatchNorm1d(DIM), nn.Linear(DIM, 6)

    def forward(self, img: Tensor) -> Tensor:
        x = self.body(self.embedding(img))
        logits = torch.einsum("md,bnd->bmn", self.cls_queries, x).div(math.sqrt(DIM))
        value = self.wv(x).unflatten(-1, (self.m, DIM // self.m))
        pooled = torch.einsum("bmn,bnmd->bmd", functional.softmax(logits, -1), value)
        return self.fc(self.norm_out(pooled.flatten(1)))


class TalkingHeads(nn.Module):
    """Heads mixed by einsum, before the softmax and behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.ln = nn.LayerNorm(DIM)
        self.w_qkv = nn.Parameter(torch.empty(3, HEADS, DIM, DIM // HEADS))
        self.pre, self.post = nn.Parameter(torch.empty(HEADS, HEADS)), nn.Parameter(torch.empty(HEADS, HEADS))
        self.w_out = nn.Parameter(torch.empty(HEADS, DIM // HEADS, DIM))
        self.scale = nn.Parameter(torch.empty(DIM))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = torch.einsum("bnd,shde->sbhne", self.ln(x), self.w_qkv)
        dots = torch.einsum("bhie,bhje->bhij", q, k) / (DIM // HEADS) ** 0.5
        attn = torch.einsum("bhij,hg->bgij", dots, self.pre).softmax(-1)
        attn = torch.einsum("bhij,hg->bgij", attn, self.post)
        out = torch.einsum("bhij,bhje->bhie", attn, v)
        return self.scale * torch.einsum("bhie,hed->bid", out, self.w_out)


class ClassLayer(nn.Module):
    """(class token, patches) -> class token; query and keys of a joined sequence, by einsum."""

    def __init__(self) -> None:
        super().__init__()
        self.ln, self.ff = nn.LayerNorm(DIM), mlp()
        self.to_q, self.to_kv = nn.Linear(DIM, DIM, bias=False), nn.Linear(DIM, 2 * DIM, bias=False)
        self.to_out, self.gamma = nn.Linear(DIM, DIM), nn.Parameter(torch.empty(2, DIM))

    def forward(self, cls: Tensor, x: Tensor) -> Tensor:
        context = self.ln(torch.cat([cls, x], 1))
        q = self.to_q(context.narrow(1, 0, 1)).unflatten(2, (HEADS, -1))
        k, v = self.to_kv(context).unflatten(2, (2, HEADS, -1)).unbind(2)
        attn = (torch.einsum("bihd,bjhd->bhij", q, k) * (DIM // HEADS) ** -0.5).softmax(-1)
        cls = cls + self.gamma[0] * self.to_out(torch.einsum("bhij,bjhd->bihd", attn, v).flatten(2))
        return cls + self.gamma[1] * self.ff(cls)


class LateClass(nn.Module):
    """CaiT: talking heads, then two layers of class attention."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.cls = Embedding(), nn.Parameter(torch.empty(1, 1, DIM))
        self.body = Residual(TalkingHeads(), mlp())
        self.late = nn.ModuleList([ClassLayer(), ClassLayer()])
        self.ln, self.fc = nn.LayerNorm(DIM), nn.Linear(DIM, 6)

    def forward(self, img: Tensor) -> Tensor:
        x = self.body(self.embedding(img))
        cls = self.cls.repeat(x.size(0), 1, 1)
        for layer in self.late:
            cls = layer(cls, x)
        return self.fc(self.ln(cls.squeeze(1)))


class TokenMixing(nn.Module):
    """A mixer's token MLP as convolutions of one tap: the tokens are channels."""

    def __init__(self) -> None:
        super().__init__()
        self.ln = nn.LayerNorm(DIM)
        self.net = nn.Sequential(nn.Conv1d(PATCHES, 20, 1), nn.GELU(), nn.Conv1d(20, PATCHES, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(self.ln(x))


class ChannelFirstMixing(nn.Module):
    """The same on pictures [B, D, h, w], in `rearrange`'s order of axes."""

    def __init__(self) -> None:
        super().__init__()
        self.ln, self.w1, self.w2 = nn.LayerNorm(DIM), nn.Linear(PATCHES, 20), nn.Linear(20, PATCHES)

    def forward(self, x: Tensor) -> Tensor:
        grid = self.ln(x).permute(0, 2, 1).unflatten(2, (SIDE, SIDE))
        mixed = self.w2(functional.gelu(self.w1(grid.flatten(2))))
        return mixed.unflatten(2, (SIDE, SIDE)).permute(0, 2, 3, 1).flatten(1, 2)


class ResidualAttentionBlock(nn.Module):
    """CLIP's block on [N, B, D] with torch's own attention."""

    def __init__(self) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(DIM, HEADS)
        self.ln_1, self.ln_2 = nn.LayerNorm(DIM), nn.LayerNorm(DIM)
        self.c_fc, self.c_proj = nn.Linear(DIM, 4 * DIM), nn.Linear(4 * DIM, DIM)

    def forward(self, x: Tensor) -> Tensor:
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, need_weights=False, attn_mask=None)[0]
        y = self.c_fc(self.ln_2(x))
        return x + self.c_proj(y * torch.sigmoid(1.702 * y))


class Tower(nn.Module):
    """CLIP's vision tower, tokens first."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, DIM, 4, 4, bias=False)
        self.class_embedding = nn.Parameter(torch.empty(DIM))
        self.positional_embedding = nn.Parameter(torch.empty(PATCHES + 1, DIM))
        self.ln_pre, self.ln_post = nn.LayerNorm(DIM), nn.LayerNorm(DIM)
        self.resblocks = nn.Sequential(ResidualAttentionBlock(), ResidualAttentionBlock())
        self.proj = nn.Parameter(torch.empty(DIM, 6))

    def forward(self, img: Tensor) -> Tensor:
        x = self.conv1(img)
        x = x.reshape(x.shape[0], x.shape[1], -1).permute(0, 2, 1)
        first = self.class_embedding.to(x.dtype)
        zeros = torch.zeros(x.shape[0], 1, x.shape[-1], dtype=x.dtype, device=x.device)
        x = torch.cat([first + zeros, x], dim=1) + self.positional_embedding.to(x.dtype)
        x = self.resblocks(self.ln_pre(x).permute(1, 0, 2)).permute(1, 0, 2)
        return self.ln_post(x[:, 0, :]) @ self.proj


class Parallel22B(nn.Module):
    """ViT-22B: one product for queries, keys, values and the MLP's first layer; one for both outputs."""

    def __init__(self, hidden: int = 48) -> None:
        super().__init__()
        self.sizes, self.norm = [DIM, DIM, DIM, hidden], nn.LayerNorm(DIM)
        self.fused_in = nn.Linear(DIM, sum(self.sizes))
        self.q_norm, self.k_norm = nn.LayerNorm(DIM // HEADS), nn.LayerNorm(DIM // HEADS)
        self.fused_out = nn.Linear(DIM + hidden, DIM)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v, h = self.fused_in(self.norm(x)).split(self.sizes, dim=-1)
        q, k, v = (t.view(t.size(0), t.size(1), HEADS, -1).transpose(1, 2) for t in (q, k, v))
        a = functional.scaled_dot_product_attention(self.q_norm(q), self.k_norm(k), v)
        return self.fused_out(torch.cat((a.transpose(1, 2).flatten(2), functional.gelu(h)), -1))


class CosineQK(nn.Module):
    """QK-norm by RMS, written out, with learned gains for each head."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.qkv = nn.LayerNorm(DIM), nn.Linear(DIM, 3 * DIM)
        self.gain_norm = nn.Parameter(torch.empty(2, DIM // HEADS))
        self.out = nn.Linear(DIM, DIM)

    def rms(self, t: Tensor, gain: Tensor) -> Tensor:
        return t * torch.rsqrt(t.pow(2).mean(-1, keepdim=True) + 1e-6) * gain

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm(x)).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 1, 3, 4)
        q, k = self.rms(q, self.gain_norm[0]), self.rms(k, self.gain_norm[1])
        dots = torch.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(q.size(-1))
        return self.out(torch.einsum("bhqk,bkhd->bqhd", dots.softmax(-1), v).flatten(-2))


class PostNorm(nn.Module):
    """torch's own encoder layer, which norms behind the sum."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(DIM, HEADS, 40, activation="gelu", batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class CrossCovariance(nn.Module):
    """XCA on [B, h, d, N], norms and products by einsum."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.qkv = nn.LayerNorm(DIM), nn.Linear(DIM, 3 * DIM)
        self.tau, self.out = nn.Parameter(torch.empty(HEADS)), nn.Linear(DIM, DIM)

    def forward(self, x: Tensor) -> Tensor:
        b, n, d = x.shape
        q, k, v = self.qkv(self.norm(x)).permute(0, 2, 1).reshape(b, 3, HEADS, d // HEADS, n).unbind(1)
        q, k = (t / t.norm(dim=-1, keepdim=True).clamp_min(1e-12) for t in (q, k))
        attn = torch.einsum("bhdn,bhen->bhde", q, k) * self.tau.view(1, -1, 1, 1)
        y = torch.einsum("bhde,bhen->bhdn", attn.softmax(-1), v)
        return self.out(y.reshape(b, d, n).transpose(1, 2))


class SummedClass(nn.Module):
    """XCiT's class attention: the query times each key, element by element, then added up."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.qkv, self.proj = nn.LayerNorm(DIM), nn.Linear(DIM, 3 * DIM), nn.Linear(DIM, DIM)
        self.gamma = nn.Parameter(torch.empty(DIM))

    def forward(self, x: Tensor) -> Tensor:
        b, n, d = x.shape
        y = self.norm(x)
        q, k, v = self.qkv(y).reshape(b, n, 3, HEADS, d // HEADS).permute(2, 0, 3, 1, 4)
        attn = ((q[:, :, 0:1] * k).sum(dim=-1) * (d // HEADS) ** -0.5).softmax(dim=-1)
        cls = (attn.unsqueeze(2) @ v).transpose(1, 2).reshape(b, 1, d)
        return self.gamma * torch.cat([self.proj(cls), y[:, 1:]], 1)


class SummedScores(CosineQK):
    """Scores without a product of matrices: each query times each key, added up."""

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm(x)).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        dots = (q.unsqueeze(-2) * k.unsqueeze(-3)).sum(-1) / math.sqrt(q.size(-1))
        return self.out((dots.softmax(-1) @ v).transpose(1, 2).flatten(-2))


class LinearAttention(nn.Module):
    """phi(q) (phi(k).T v) by two einsums."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.qkv, self.out = nn.LayerNorm(DIM), nn.Linear(DIM, 3 * DIM), nn.Linear(DIM, DIM)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm(x)).chunk(3, -1)
        q, k, v = (t.unflatten(-1, (HEADS, -1)) for t in (functional.relu(q), functional.relu(k), v))
        memory = torch.einsum("bnhd,bnhe->bhde", k, v) / x.size(1)
        return self.out(torch.einsum("bnhd,bhde->bnhe", q, memory).flatten(2))


class Registers(nn.Module):
    """Registers behind the class token, positions without them; patches and class token are pooled."""

    def __init__(self, registers: int = 3) -> None:
        super().__init__()
        self.embedding = Embedding()
        self.cls, self.reg = (
            nn.Parameter(torch.empty(1, 1, DIM)),
            nn.Parameter(torch.empty(1, registers, DIM)),
        )
        self.count, self.layer = registers, Residual(CosineQK(), mlp())
        self.ln, self.fc = nn.LayerNorm(DIM), nn.Linear(2 * DIM, 6)

    def forward(self, img: Tensor) -> Tensor:
        x = self.embedding(img)
        cls, reg = (t.expand(x.size(0), -1, -1) for t in (self.cls, self.reg))
        x = self.ln(self.layer(torch.cat([cls, reg, x], 1)))
        return self.fc(torch.cat([x[:, 0], x[:, 1 + self.count :].mean(1)], -1))


class SharedKernels(nn.Module):
    """ConvShareViT with tokens as channels: a depthwise convolution whose channels share a kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(DIM)
        self.kernels = nn.ParameterList([torch.empty(1, 1, 3, 3) for _ in range(3)])
        self.back, self.bias = nn.Parameter(torch.empty(1, 1, 3, 3)), nn.Parameter(torch.empty(1))

    def shared(self, x: Tensor, kernel: Tensor, padding: int) -> Tensor:
        tokens = x.size(1)
        each = kernel.expand(tokens, -1, -1, -1)
        return functional.conv2d(x, each, self.bias.expand(tokens), padding=padding, groups=tokens)

    def forward(self, x: Tensor) -> Tensor:
        grid = self.norm(x).unflatten(-1, (4, 6))
        q, k, v = (self.shared(grid, kernel, 0).flatten(2) for kernel in self.kernels)
        y = torch.softmax(q @ k.mT / q.size(-1) ** 0.5, -1) @ v
        return self.shared(y.unflatten(-1, (2, 4)), self.back, 2).flatten(2)


class UnfoldedKernels(SharedKernels):
    """The same by windows of the picture and an einsum; torch's own unfold on the way back."""

    def shared(self, x: Tensor, kernel: Tensor, padding: int) -> Tensor:
        if padding:
            columns = functional.unfold(x.flatten(0, 1).unsqueeze(1), 3, padding=padding)
            y = torch.einsum("bkl,k->bl", columns, kernel.flatten())
            return y.reshape(*x.shape[:2], x.size(2) + 2, x.size(3) + 2) + self.bias
        windows = x.unfold(2, 3, 1).unfold(3, 3, 1)
        return torch.einsum("bnhwij,ij->bnhw", windows, kernel[0, 0]) + self.bias


def systems() -> dict[str, nn.Module]:
    """Each system by name."""
    return {
        "efficient_probing": EfficientProbe(),
        "cait": LateClass(),
        "mlp_mixer_conv1d": Classifier(Residual(TokenMixing(), mlp())),
        "mlp_mixer_grid": Classifier(Residual(ChannelFirstMixing(), mlp())),
        "clip": Tower(),
        "parallel_22b": Classifier(Residual(Parallel22B()), Residual(Parallel22B())),
        "qk_norm": Classifier(Residual(CosineQK(), mlp())),
        "post_norm": Classifier(PostNorm(), PostNorm()),
        "cross_covariance": Classifier(Residual(CrossCovariance(), mlp())),
        "class_attention_summed": Classifier(Residual(SummedClass(), mlp())),
        "scores_summed": Classifier(Residual(SummedScores(), mlp())),
        "linear_attention": Classifier(Residual(LinearAttention(), mlp())),
        "registers": Registers(),
        "conv_share_vit": Classifier(Residual(SharedKernels(), mlp())),
        "conv_share_vit_unfold": Classifier(Residual(UnfoldedKernels(), mlp())),
    }


def drawn(model: nn.Module, seed: int = 5) -> nn.Module:
    """The model with random parameters and statistics, in eval mode."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            noise = torch.randn(tensor.shape, generator=random)
            spread = tensor[0].numel() ** -0.5 if tensor.dim() > 1 else 0.3
            tensor.copy_(noise * spread + (1.0 if tensor.dim() == 1 and "bias" not in name else 0.0))
        for name, tensor in model.named_buffers():
            if name.endswith("running_var"):
                tensor.copy_(torch.rand(tensor.shape, generator=random) + 0.5)
    return model.eval()
