namespace Trainer.Compute;

/// <summary>The type of a tensor's elements on the device.</summary>
public enum ElementType
{
    /// <summary>IEEE 754 single precision, 4 bytes.</summary>
    Float32,

    /// <summary>Signed 32-bit integers: token ids.</summary>
    Int32,

    /// <summary>The upper half of single precision, 2 bytes: 8 bits of exponent, 8 of significand.</summary>
    BFloat16,

    /// <summary>IEEE 754 double precision, 8 bytes: sums of losses.</summary>
    Float64,

    /// <summary>Bytes: memory that is divided among tensors (<see cref="Arena"/>).</summary>
    Byte,
}
