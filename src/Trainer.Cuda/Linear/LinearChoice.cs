namespace Trainer.Cuda;

/// <summary>How the implementation of a matrix product is chosen.</summary>
public enum LinearChoice
{
    /// <summary>The fastest of all that are deterministic, measured when a model is prepared; measured once for a device and its libraries.</summary>
    Measured,

    /// <summary>The one that cuBLASLt expects to be the fastest; our own kernels where there is none.</summary>
    Proposed,

    /// <summary>Our own kernels, as they are expected to be the fastest.</summary>
    Own,
}
