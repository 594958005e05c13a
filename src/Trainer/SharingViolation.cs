namespace Trainer;

/// <summary>Tells a file that another process holds from one that cannot be opened for another reason.</summary>
internal static class SharingViolation
{
    /// <summary>Whether another process holds the file: EAGAIN of Linux and of macOS, ERROR_SHARING_VIOLATION of Windows.</summary>
    public static bool Is(IOException exception) => exception.HResult is 11 or 35 or unchecked((int)0x80070020);
}
