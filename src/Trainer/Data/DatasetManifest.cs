using System.Text.Json;
using System.Text.Json.Serialization;

namespace Trainer.Data;

/// <summary>What <c>manifest.json</c> says of a dataset.</summary>
/// <param name="Format">Always <see cref="FormatName"/>.</param>
/// <param name="Version">The version of this description: <see cref="FormatVersion"/>.</param>
/// <param name="Tokenizer">How the text was encoded.</param>
/// <param name="Train">The training split.</param>
/// <param name="Validation">The held-out split.</param>
/// <param name="Inputs">What the text came from.</param>
/// <param name="ValidationFraction">The share of the bytes that was to be held out.</param>
/// <param name="SegmentBytes">The size into which documents were cut before some were held out.</param>
public sealed record DatasetManifest(string Format, int Version, TokenizerDescription Tokenizer, SplitDescription Train, SplitDescription Validation,
    IReadOnlyList<InputDescription> Inputs, double ValidationFraction, int SegmentBytes)
{
    /// <summary>Tells the manifest of a dataset from other JSON files.</summary>
    public const string FormatName = "trainer-dataset";

    /// <summary>The version that this program writes and reads.</summary>
    public const int FormatVersion = 1;

    /// <summary>The name of the file in the folder of the dataset.</summary>
    public const string FileName = "manifest.json";

    /// <summary>Bytes of text per token, over both splits. Loss in bits per byte is loss / ln 2 / bytes per token of the split it was measured on.</summary>
    public double BytesPerToken => (double)(Train.Bytes + Validation.Bytes) / (Train.Tokens + Validation.Tokens);

    /// <summary>Writes the manifest into the folder of a dataset.</summary>
    internal void Save(string folder) =>
        File.WriteAllBytes(Path.Combine(folder, FileName), [.. JsonSerializer.SerializeToUtf8Bytes(this, DatasetJson.Default.DatasetManifest), (byte)'\n']);

    /// <summary>Reads and checks the manifest of a dataset.</summary>
    /// <exception cref="RequestException">It is missing, corrupt or of another version.</exception>
    internal static DatasetManifest Load(string folder)
    {
        string path = Path.Combine(folder, FileName);
        if (!File.Exists(path))
            throw new RequestException($"{folder}: not a dataset: there is no {FileName}; make one with \"trainer prepare --output {folder}\".");
        DatasetManifest? manifest;
        try
        {
            manifest = JsonSerializer.Deserialize(File.ReadAllBytes(path), DatasetJson.Default.DatasetManifest);
        }
        catch (JsonException error)
        {
            throw new RequestException($"{path}: corrupt: {JsonReason.Of(error)}", error);
        }

        if (manifest?.Format != FormatName)
            throw new RequestException($"{path}: not the manifest of a dataset; expected \"format\": \"{FormatName}\".");
        if (manifest.Version != FormatVersion)
            throw new RequestException($"{path}: version {manifest.Version} of the format, but this program reads version {FormatVersion}; prepare the data again.");
        return manifest;
    }
}

/// <summary>How the text of a dataset was encoded.</summary>
/// <param name="Kind">See <see cref="Tokenization.TokenizerKind"/>.</param>
/// <param name="VocabularySize">V, the end-of-text token included.</param>
/// <param name="EndOfText">The id of the end-of-text token.</param>
/// <param name="File">The rank file, or null for bytes.</param>
public sealed record TokenizerDescription(string Kind, int VocabularySize, int EndOfText, FileDescription? File);

/// <summary>One split of a dataset.</summary>
/// <param name="Documents">The end-of-text tokens: documents, and parts of documents whose beginning is in the other split.</param>
/// <param name="Bytes">The bytes of text.</param>
/// <param name="Tokens">The tokens, end-of-text tokens included.</param>
/// <param name="Shards">The files, in order.</param>
public sealed record SplitDescription(long Documents, long Bytes, long Tokens, IReadOnlyList<FileDescription> Shards);

/// <summary>A file of a dataset.</summary>
/// <param name="Name">Its name in the folder.</param>
/// <param name="Bytes">Its length.</param>
/// <param name="Sha256">Its digest, in lower-case hexadecimal digits.</param>
public sealed record FileDescription(string Name, long Bytes, string Sha256);

/// <summary>Where text came from.</summary>
/// <param name="Name">The path as it was given or found, or the name of the default corpus.</param>
/// <param name="Bytes">Its length.</param>
public sealed record InputDescription(string Name, long Bytes);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true, RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(DatasetManifest))]
internal sealed partial class DatasetJson : JsonSerializerContext;
