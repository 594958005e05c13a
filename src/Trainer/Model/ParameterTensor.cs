using Trainer.Compute;
using Trainer.Optimization;

namespace Trainer.Model;

/// <summary>One parameter tensor of one layer: its name, kind, extents and place in the one allocation.</summary>
/// <param name="Name">The name, as Hugging Face has it: <c>wte.weight</c>, <c>h.0.attn.c_attn.weight</c>, …, <c>ln_f.bias</c>.</param>
/// <param name="Kind">What it is.</param>
/// <param name="Layer">The layer it belongs to, from 0; -1 outside the layers.</param>
/// <param name="Shape">The extents; matrices are stored (out, in).</param>
/// <param name="Segment">Where it lies.</param>
public sealed record ParameterTensor(string Name, ParameterKind Kind, int Layer, Shape Shape, Segment Segment);
