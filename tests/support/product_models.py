# SPDX-License-Identifier: Apache-2.0
"""One small vision transformer with products, transposes and learned operands in many spellings."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from support.variants import HEAD, HEADS, TOKENS, WIDTH, Tiny

ALL = 1 + TOKENS


class Linear2d(Tiny):
    """q (k.T v): linear attention with an elementwise feature map (Katharopoulos et al. 2020)."""

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        q, k = functional.elu(q) + 1, functional.elu(k) + 1
        return self.proj((q @ (k.transpose(-2, -1) @ v)).transpose(1, 2).reshape(x.shape) / ALL)


class LinearByEinsum(Tiny):
    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).reshape(1, ALL, 3, HEADS, HEAD).unbind(2)
        state = torch.einsum("bnhd,bnhe->bhde", torch.relu(k), v)
        return self.proj(torch.einsum("bnhd,bhde->bnhe", torch.relu(q), state).flatten(2)) * -0.5


class Ungated(Tiny):
    """No function at all between the products, and a negative factor."""

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        return self.proj(((q * -0.3) @ k.mT @ v).transpose(1, 2).flatten(2))


class ReluAttention(Tiny):
    """relu(q k.T) / n instead of softmax (Wortsman et al. 2023)."""

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        weights = torch.relu(q @ k.transpose(-2, -1) * HEAD**-0.5) / ALL
        return self.proj((weights @ v).transpose(1, 2).reshape(x.shape))


class SigmoidAttention(Tiny):
    """sigmoid(q k.T - log n) (Ramapuram et al. 2024)."""

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        weights = torch.sigmoid(torch.einsum("bhid,bhjd->bhij", q, k) - 2.0)
        return self.proj(torch.einsum("bhij,bhjd->bihd", weights, v).flatten(2))


class NegativeScale(Tiny):
    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        return self.proj(((q @ k.mT * -0.5).softmax(-1) @ v).transpose(1, 2).flatten(2))


class Temperature(Tiny):
    """A factor per head on the scores, another on the weights."""

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        weights = (q @ k.mT * torch.arange(1.0, 1 + HEADS)[:, None, None]).softmax(-1)
        weights = weights * torch.arange(2.0, 2 + HEADS)[:, None, None]
        return self.proj((weights @ v).transpose(1, 2).flatten(2))


class OverQueries(Tiny):
    """Softmax over the queries: each key is shared out."""

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        return self.proj(((q @ k.mT).softmax(-2).mT @ v).transpose(1, 2).flatten(2))


class FlippedKeys(Tiny):
    """Keys of other tokens than the values are."""

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        return self.proj(((q @ k.flip(-2).mT).softmax(-1) @ v).transpose(1, 2).flatten(2))


class HeadNorm(Tiny):
    """QK-norm (Henry et al. 2020): each head's queries and keys are normalised."""

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        q, k = functional.layer_norm(q, (HEAD,)), functional.rms_norm(k, (HEAD,), eps=1e-5)
        return self.proj(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Channels(Tiny):
    """Channels attend to channels (XCA without its norm)."""

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).reshape(1, ALL, 3, HEADS, HEAD).permute(2, 0, 3, 4, 1).unbind(0)
        weights = (q @ k.transpose(-2, -1) * 0.2).softmax(-1)
        return self.proj((weights @ v).permute(0, 3, 1, 2).reshape(x.shape))


class CrossCovariance(Channels):
    """XCA (El-Nouby et al. 2021): normalised along tokens, with a temperature per head."""

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).reshape(1, ALL, 3, HEADS, HEAD).permute(2, 0, 3, 4, 1).unbind(0)
        q, k = functional.normalize(q, dim=-1), functional.normalize(k, dim=-1)
        weights = (q @ k.transpose(-2, -1) * torch.arange(1.0, 1 + HEADS)[:, None, None]).softmax(-1)
        return self.proj((weights @ v).permute(0, 3, 1, 2).reshape(x.shape))


class TokenMixing(Tiny):
    """An MLP over tokens (Tolstikhin et al. 2021)."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.narrow = nn.Linear(ALL, 9), nn.Linear(9, ALL)

    def attend(self, x: Tensor) -> Tensor:
        return self.narrow(functional.gelu(self.wide(x.transpose(1, 2)))).transpose(1, 2)


class ConvolvedTokens(Tiny):
    """Tokens as the channels of a 1x1 convolution, with a factor and an offset around it."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv1d(ALL, ALL, 1)
        self.gain, self.shift = (nn.Parameter(torch.rand(1, 1, WIDTH)) for _ in range(2))

    def attend(self, x: Tensor) -> Tensor:
        return self.mix(x * self.gain + self.shift) * self.gain


class FixedMixing(Tiny):
    """A matrix of constants mixes tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.filter = nn.Parameter(torch.rand(ALL, ALL))

    def attend(self, x: Tensor) -> Tensor:
        return torch.einsum("st,btc->bsc", self.filter, self.proj(x))


class PooledKeys(Tiny):
    """Keys and values of fewer tokens than queries (Wang et al. 2020: Linformer)."""

    def __init__(self) -> None:
        super().__init__()
        self.keys, self.values = (nn.Parameter(torch.rand(3, ALL)) for _ in range(2))

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        x = functional.scaled_dot_product_attention(q, self.keys @ k, self.values @ v)
        return self.proj(x.transpose(1, 2).flatten(2))


class Queries(Tiny):
    """Four learned queries per head, tokens as they are for keys (attentive pooling)."""

    def __init__(self) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(4, WIDTH))

    def pool(self, x: Tensor) -> Tensor:
        _, k, v = self.split(self.norm(x))
        q = self.queries.reshape(1, 4, HEADS, HEAD).transpose(1, 2)
        x = ((q @ k.transpose(-2, -1)) * HEAD**-0.5).softmax(-1) @ v
        return self.head(x.transpose(1, 2).reshape(1, 4, WIDTH).mean(1))


class MapHead(Queries):
    """A learned token asks all others through torch's own module (Zhai et al. 2023: SigLIP)."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)

    def pool(self, x: Tensor) -> Tensor:
        x = self.norm(x)
        probe = self.queries[None, :2].repeat(len(x), 1, 1)
        x = self.attention(probe, x, x)[0]
        x = x + self.mlp(self.norm2(x))
        return self.head(x[:, 0])


class SequencePool(Tiny):
    """Tokens compete for their weight in the mean (Hassani et al. 2021: CCT)."""

    def __init__(self) -> None:
        super().__init__()
        self.weigh = nn.Linear(WIDTH, 1)

    def pool(self, x: Tensor) -> Tensor:
        x = self.norm(x)
        return self.head((self.weigh(x).softmax(dim=1).transpose(-1, -2) @ x).squeeze(-2))


class OwnRows(Queries):
    """Two queries for each head, which meet whole tokens; each keeps its own head's values (EP)."""

    def __init__(self) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(2 * HEADS, WIDTH))

    def pool(self, x: Tensor) -> Tensor:
        x = self.norm(x)
        weights = (self.queries @ x.mT * WIDTH**-0.5).softmax(-1).reshape(1, HEADS, 2, ALL)
        _, _, v = self.split(x)
        return self.head((weights @ v).transpose(1, 2).flatten(2).mean(1))


class LearnedKeys(Tiny):
    """Two keys and values that are learned (memory), beside the tokens' own."""

    def __init__(self) -> None:
        super().__init__()
        self.keys, self.values = (nn.Parameter(torch.randn(1, HEADS, 2, HEAD)) for _ in range(2))

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        k, v = torch.cat((self.keys, k), 2), torch.cat((self.values, v), 2)
        return self.proj(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class MultiQuery(Tiny):
    """One head of keys and values for all (Shazeer 2019)."""

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        k, v = (y[:, :1].expand(-1, HEADS, -1, -1) for y in (k, v))
        return self.proj(((q @ k.mT).softmax(-1) @ v).transpose(1, 2).flatten(2))


class SharedState(Tiny):
    """Linear attention whose heads share keys and values that no linear layer makes."""

    def attend(self, x: Tensor) -> Tensor:
        q, _, _ = self.split(x)
        k = x[..., :HEAD].unsqueeze(1)
        return self.proj((q @ (k.mT @ k)).transpose(1, 2).flatten(2))


class Talking(Tiny):
    """Heads are mixed before and behind the softmax (Shazeer et al. 2020; CaiT)."""

    def __init__(self, *, bias: bool = True, convolved: bool = False) -> None:
        super().__init__()
        if convolved:
            self.before, self.behind = (nn.Conv2d(HEADS, HEADS, 1, bias=bias) for _ in range(2))
        else:
            self.before, self.behind = (nn.Linear(HEADS, HEADS, bias=bias) for _ in range(2))

    def mix(self, layer: nn.Module, x: Tensor) -> Tensor:
        if isinstance(layer, nn.Conv2d):
            return layer(x)
        return layer(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        weights = self.mix(self.before, (q * HEAD**-0.5) @ k.transpose(-2, -1)).softmax(-1)
        return self.proj((self.mix(self.behind, weights) @ v).transpose(1, 2).reshape(x.shape))


class TalkingByEinsum(Tiny):
    """More heads within the softmax than outside."""

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.Parameter(torch.randn(HEADS, 5))
        self.behind = nn.Parameter(torch.randn(5, HEADS))

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        logits = torch.einsum("bhnm,hg->bgnm", torch.einsum("bhnd,bhmd->bhnm", q, k), self.before)
        weights = torch.einsum("bgnm,gh->bhnm", logits.softmax(-1), self.behind)
        return self.proj(torch.einsum("bhnm,bhmd->bnhd", weights, v).flatten(2))


class Reattention(Tiny):
    """Mixed weights, normalised with running statistics (Zhou et al. 2021: DeepViT)."""

    def __init__(self) -> None:
        super().__init__()
        self.mix, self.batch = nn.Conv2d(HEADS, HEADS, 1), nn.BatchNorm2d(HEADS)

    def attend(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        weights = self.batch(self.mix((q @ k.mT).softmax(-1)))
        return self.proj((weights @ v).transpose(1, 2).reshape(x.shape))


class ClassAttention(Tiny):
    """A class token that comes late, and asks alone (Touvron et al. 2021: CaiT)."""

    def __init__(self) -> None:
        super().__init__()
        self.late = nn.Parameter(torch.randn(1, 1, WIDTH))
        self.q, self.k, self.v = (nn.Linear(WIDTH, WIDTH) for _ in range(3))

    def asked(self, x: Tensor) -> Tensor:
        q = self.q(x[:, 0]).unsqueeze(1).reshape(1, 1, HEADS, HEAD).permute(0, 2, 1, 3)
        k, v = (f(x).reshape(1, -1, HEADS, HEAD).permute(0, 2, 1, 3) for f in (self.k, self.v))
        return self.proj(((q * 0.4) @ k.mT).softmax(-1).matmul(v).transpose(1, 2).reshape(1, 1, WIDTH))

    def pool(self, x: Tensor) -> Tensor:
        late = self.late.expand(len(x), -1, -1)
        for _ in range(2):
            late = late + self.asked(self.norm1(torch.cat((late, x), dim=1)))
            late = late + self.mlp(self.norm2(late))
        return self.head(self.norm(torch.cat((late, x), dim=1))[:, 0])


PRODUCTS = {
    "linear": Linear2d,
    "linear_einsum": LinearByEinsum,
    "ungated": Ungated,
    "relu": ReluAttention,
    "sigmoid": SigmoidAttention,
    "negative_scale": NegativeScale,
    "temperature": Temperature,
    "over_queries": OverQueries,
    "flipped_keys": FlippedKeys,
    "head_norm": HeadNorm,
    "channels": Channels,
    "cross_covariance": CrossCovariance,
    "token_mixing": TokenMixing,
    "convolved_tokens": ConvolvedTokens,
    "fixed_mixing": FixedMixing,
    "pooled_keys": PooledKeys,
    "queries": Queries,
    "map_head": MapHead,
    "sequence_pool": SequencePool,
    "own_rows": OwnRows,
    "learned_keys": LearnedKeys,
    "multi_query": MultiQuery,
    "shared_state": SharedState,
    "talking": Talking,
    "talking_convolved": lambda: Talking(bias=False, convolved=True),
    "talking_einsum": TalkingByEinsum,
    "reattention": Reattention,
    "class_attention": ClassAttention,
}
