namespace Trainer;

/// <summary>
/// The request is wrong: an unknown option, a missing or corrupt file, an impossible size. The console trainer prints the
/// message (one or two lines: what is wrong, with the file, offset or option, and what to do) and exits with code 2.
/// </summary>
public sealed class RequestException : Exception
{
    /// <summary>Creates the exception.</summary>
    /// <param name="message">What is wrong and what to do about it, in one or two lines.</param>
    /// <param name="innerException">The cause, shown only with <c>--verbose</c>.</param>
    public RequestException(string message, Exception? innerException = null)
        : base(message, innerException)
    {
    }
}
