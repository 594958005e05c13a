namespace Trainer.Compute;

/// <summary>A device refused or lost what it was asked for. What it had computed since it was last waited for is lost; files are as they were.</summary>
public class DeviceFailedException : RunFailedException
{
    /// <summary>Creates the exception.</summary>
    /// <param name="message">What failed, with the device's own words.</param>
    /// <param name="innerException">The cause.</param>
    public DeviceFailedException(string message, Exception? innerException = null)
        : base(message, innerException)
    {
    }
}
