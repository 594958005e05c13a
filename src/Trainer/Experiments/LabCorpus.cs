using System.Globalization;
using Trainer.Data;
using Trainer.Training;

namespace Trainer.Experiments;

/// <summary>
/// A text of bytes with a vocabulary of those that occur, about 65 of 257. Rows of the token embedding that never stand in a text are pushed away by
/// every step, Adam makes these steps as long as all others, and soon most of the weights' norm would be theirs.
/// </summary>
public static class LabCorpus
{
    private const string TrainFile = "train.bin", ValidationFile = "val.bin", VocabularyFile = "vocabulary.txt";

    /// <summary>Makes the text, unless it is there, and names it in settings.</summary>
    /// <param name="bytes">A dataset made with the tokenizer <c>bytes</c>.</param>
    /// <param name="folder">Where the text is kept.</param>
    /// <param name="settings">The settings to train on it.</param>
    public static TrainingSettings Use(Func<Dataset> bytes, string folder, TrainingSettings settings)
    {
        ArgumentNullException.ThrowIfNull(bytes);
        ArgumentNullException.ThrowIfNull(settings);
        string vocabulary = Path.Combine(folder, VocabularyFile);
        if (!File.Exists(vocabulary))
            Make(bytes(), folder, vocabulary);
        return settings with
        {
            TrainData = Path.Combine(folder, TrainFile),
            ValData = Path.Combine(folder, ValidationFile),
            VocabSize = int.Parse(File.ReadAllText(vocabulary), CultureInfo.InvariantCulture),
        };
    }

    private static void Make(Dataset dataset, string folder, string vocabulary)
    {
        Directory.CreateDirectory(folder);
        using TokenCorpus train = dataset.OpenTrain(), validation = dataset.OpenValidation();
        int[] trainTokens = Tokens(train, dataset), validationTokens = Tokens(validation, dataset);
        int[] used = [.. trainTokens.Concat(validationTokens).Distinct().Order()];
        var ids = new int[dataset.Tokenizer.VocabularySize];
        for (int id = 0; id < used.Length; id++)
            ids[used[id]] = id;
        Write(Path.Combine(folder, TrainFile), trainTokens, ids);
        Write(Path.Combine(folder, ValidationFile), validationTokens, ids);

        // Last: a folder that has it is whole.
        File.WriteAllText(vocabulary, used.Length.ToString(CultureInfo.InvariantCulture));
    }

    private static int[] Tokens(TokenCorpus corpus, Dataset dataset)
    {
        var tokens = new int[checked((int)corpus.Tokens)];
        int next = 0;
        foreach (TokenShard shard in corpus.Shards)
        {
            shard.Copy(0, tokens.AsSpan(next, shard.Tokens), dataset.Tokenizer.VocabularySize);
            next += shard.Tokens;
        }

        return tokens;
    }

    private static void Write(string path, int[] tokens, int[] ids)
    {
        using var writer = new TokenShardWriter(path, ids.Length);
        writer.Write(Array.ConvertAll(tokens, token => ids[token]));
        writer.Complete();
    }
}
