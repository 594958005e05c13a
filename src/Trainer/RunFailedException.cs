namespace Trainer;

/// <summary>
/// The request was fine but the work failed: a non-finite loss, a full disk. The console trainer prints the message and
/// exits with code 1.
/// </summary>
public class RunFailedException : Exception
{
    /// <summary>Creates the exception.</summary>
    /// <param name="message">What failed, what is left intact, and what to do, in one or two lines.</param>
    /// <param name="innerException">The cause, shown only with <c>--verbose</c>.</param>
    public RunFailedException(string message, Exception? innerException = null)
        : base(message, innerException)
    {
    }
}
