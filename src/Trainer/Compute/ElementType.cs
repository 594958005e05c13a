namespace Trainer.Compute;

/// <summary>The type of a tensor's elements on the device.</summary>
public enum ElementType
{
    /// <summary>IEEE 754 single precision, 4 bytes.</summary>
    Float32,

    /// <summary>Signed 32-bit integers: token ids.</summary>
    Int32,
}
