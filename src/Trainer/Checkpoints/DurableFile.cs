using System.Runtime.InteropServices;

namespace Trainer.Checkpoints;

/// <summary>
/// Writing that survives a crash: contents and directory entries are on the disk before a name refers to them, so that a name stands
/// for the old file or for the new one, never for a part.
/// </summary>
internal static partial class DurableFile
{
    /// <summary>Replaces a file at once.</summary>
    public static void Replace(string path, ReadOnlySpan<byte> contents)
    {
        string temporary = path + ".tmp";
        using (FileStream stream = File.Create(temporary))
        {
            stream.Write(contents);
            stream.Flush(flushToDisk: true);
        }

        File.Move(temporary, path, overwrite: true);
        FlushDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
    }

    /// <summary>Brings a stream's contents to the disk.</summary>
    public static void Flush(Stream stream)
    {
        if (stream is FileStream file)
            file.Flush(flushToDisk: true);
        else
            stream.Flush();
    }

    /// <summary>Brings the names in a directory to the disk. .NET has no call for it; elsewhere than on Linux it is left to the system.</summary>
    public static void FlushDirectory(string path)
    {
        if (!OperatingSystem.IsLinux())
            return;
        int descriptor = Libc.Open(path, Libc.ReadOnly | Libc.CloseOnExec);
        if (descriptor < 0)
            throw new IOException($"{path}: cannot be opened: {Marshal.GetLastPInvokeErrorMessage()}");
        try
        {
            if (Libc.Fsync(descriptor) != 0)
                throw new IOException($"{path}: cannot be brought to the disk: {Marshal.GetLastPInvokeErrorMessage()}");
        }
        finally
        {
            _ = Libc.Close(descriptor);
        }
    }

    private static partial class Libc
    {
        public const int ReadOnly = 0;
        public const int CloseOnExec = 0x80000;

        [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
        public static partial int Open(string path, int flags);

        [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
        public static partial int Fsync(int descriptor);

        [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
        public static partial int Close(int descriptor);
    }
}
