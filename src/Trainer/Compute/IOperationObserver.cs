namespace Trainer.Compute;

/// <summary>Is told of every operation of a backend before and after its call. Operations are not nested.</summary>
/// <remarks>An operation of a device that works on its own is only asked for when its call returns.</remarks>
public interface IOperationObserver
{
    /// <summary>The operation is called now.</summary>
    /// <param name="cost">Which, and what it costs at least.</param>
    void Before(in OperationCost cost);

    /// <summary>The call of the operation returns.</summary>
    void After();
}
