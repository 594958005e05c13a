using System.Globalization;
using System.Text.Json;

namespace Trainer.Cuda;

/// <summary>What a measured choice depends on besides the product.</summary>
/// <param name="Device">The name of the device.</param>
/// <param name="ComputeCapability">Its architecture.</param>
/// <param name="Driver">The version of the driver, 12040.</param>
/// <param name="CublasLt">The version of cuBLASLt; 0 without it.</param>
/// <param name="Cublas">The version of cuBLAS; 0 without it.</param>
/// <param name="Trainer">The version of this program.</param>
internal sealed record LinearCacheKey(string Device, string ComputeCapability, int Driver, long CublasLt, int Cublas, string Trainer)
{
    /// <summary>The name of the file that holds the choices.</summary>
    public string FileName
    {
        get
        {
            string text = string.Create(CultureInfo.InvariantCulture,
                $"{Device} {ComputeCapability} driver {Driver} cublasLt {CublasLt} cublas {Cublas} trainer {Trainer}");
            return $"{string.Concat(text.Select(c => char.IsAsciiLetterOrDigit(c) || c == '.' ? c : '-'))}.json";
        }
    }
}

/// <summary>
/// Choices that were measured before, in a file for each device and its libraries. Losing it costs time, nothing else: what cannot be read or written is
/// passed over.
/// </summary>
internal sealed class LinearCache
{
    private readonly string _path;
    private readonly LinearCacheKey _key;
    private readonly Dictionary<string, string> _choices;

    /// <summary>Reads the choices.</summary>
    /// <param name="folder">The folder of the files.</param>
    /// <param name="key">What the choices depend on.</param>
    public LinearCache(string folder, LinearCacheKey key)
    {
        (_path, _key) = (Path.Combine(folder, key.FileName), key);
        _choices = Read();
    }

    /// <summary>The folder of the user's caches for this program.</summary>
    public static string UsersFolder
    {
        get
        {
            string root = OperatingSystem.IsWindows() ? Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData)
                : Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } cache ? cache
                : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache");
            return Path.Combine(root, "trainer", "products");
        }
    }

    /// <summary>The choice for a product; null if it was never measured.</summary>
    public string? Find(string product) => _choices.GetValueOrDefault(product);

    /// <summary>Keeps choices, beside those that another process has kept meanwhile.</summary>
    public void Add(IEnumerable<KeyValuePair<string, string>> choices)
    {
        foreach (var (product, choice) in Read())
            _choices[product] = choice;
        foreach (var (product, choice) in choices)
            _choices[product] = choice;
        Write();
    }

    private static bool IsPassedOver(Exception exception) =>
        exception is IOException or UnauthorizedAccessException or JsonException or InvalidOperationException or KeyNotFoundException or NotSupportedException;

    private Dictionary<string, string> Read()
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(_path));
            JsonElement root = document.RootElement;

            // Two devices may make the same name of a file.
            return root.GetProperty("device").GetString() == _key.Device
                ? root.GetProperty("choices").EnumerateObject().ToDictionary(choice => choice.Name, choice => choice.Value.GetString() ?? string.Empty)
                : [];
        }
        catch (Exception exception) when (IsPassedOver(exception) || exception is ArgumentException)
        {
            return [];
        }
    }

    private void Write()
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true, NewLine = "\n" }))
        {
            json.WriteStartObject();
            json.WriteString("device", _key.Device);
            json.WriteStartObject("choices");
            foreach (var (product, choice) in _choices.OrderBy(pair => pair.Key, StringComparer.Ordinal))
                json.WriteString(product, choice);
            json.WriteEndObject();
            json.WriteEndObject();
        }

        string temporary = $"{_path}.{Environment.ProcessId}.tmp";
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(_path)!);
            File.WriteAllBytes(temporary, stream.ToArray());
            File.Move(temporary, _path, overwrite: true);
        }
        catch (Exception exception) when (IsPassedOver(exception))
        {
            // The choices are measured again next time.
        }
    }
}
