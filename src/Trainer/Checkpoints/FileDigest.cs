using System.Security.Cryptography;
using System.Text.Json;

namespace Trainer.Checkpoints;

/// <summary>The length and SHA-256 of one file.</summary>
/// <param name="Name">The file's name.</param>
/// <param name="Length">Its bytes.</param>
/// <param name="Sha256">Its digest in lower-case hexadecimal.</param>
internal readonly record struct FileDigest(string Name, long Length, string Sha256)
{
    public const string FileName = "digests.json";

    public static void Write(Stream stream, IEnumerable<FileDigest> digests)
    {
        using var json = new Utf8JsonWriter(stream, JsonLayout.Indented);
        json.WriteStartObject();
        foreach (FileDigest digest in digests)
        {
            json.WriteStartObject(digest.Name);
            json.WriteNumber("length", digest.Length);
            json.WriteString("sha256", digest.Sha256);
            json.WriteEndObject();
        }

        json.WriteEndObject();
        json.Flush();
    }

    /// <summary>Checks that each of some files of a directory is there and is what its digest says.</summary>
    /// <exception cref="RequestException">One is not, or has no digest.</exception>
    public static void Verify(string directory, IEnumerable<string> names)
    {
        Dictionary<string, FileDigest> digests = Read(Path.Combine(directory, FileName));
        foreach (string name in names)
        {
            if (!digests.ContainsKey(name))
                throw new RequestException($"{Path.Combine(directory, FileName)}: has no digest of {name}.");
        }

        foreach (FileDigest digest in digests.Values)
            digest.Verify(directory);
    }

    private static Dictionary<string, FileDigest> Read(string path)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(path));
            return document.RootElement.EnumerateObject().ToDictionary(
                property => property.Name,
                property => new FileDigest(
                    property.Name,
                    property.Value.GetProperty("length").GetInt64(),
                    property.Value.GetProperty("sha256").GetString() ?? ""));
        }
        catch (Exception exception) when (exception is JsonException or KeyNotFoundException or FormatException or InvalidOperationException
            or ArgumentException)
        {
            throw new RequestException($"{path}: not a list of digests: {JsonReason.Of(exception)}\n{UseEarlier(Path.GetDirectoryName(path)!)}", exception);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new RequestException($"{path}: cannot be read: {exception.Message}", exception);
        }
    }

    private static string UseEarlier(string checkpoint) => $"The checkpoint is damaged; delete {checkpoint} to use the one before it.";

    private void Verify(string directory)
    {
        string path = Path.Combine(directory, Name);
        try
        {
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
            if (stream.Length != Length)
            {
                throw new RequestException($"{path}: expected {Length} bytes, but the file has {stream.Length}.\n{UseEarlier(directory)}");
            }

            string found = Convert.ToHexStringLower(SHA256.HashData(stream));
            if (found != Sha256)
                throw new RequestException($"{path}: expected SHA-256 {Sha256}, but found {found}.\n{UseEarlier(directory)}");
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new RequestException($"{path}: cannot be read: {exception.Message}\n{UseEarlier(directory)}", exception);
        }
    }
}
