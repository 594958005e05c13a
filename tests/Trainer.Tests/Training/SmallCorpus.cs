using Trainer.Data;

namespace Trainer.Tests.Training;

/// <summary>A few thousand words, prepared as bytes: something to learn in twenty steps.</summary>
internal static class SmallCorpus
{
    /// <summary>Prepares it into <c>data</c> of a folder.</summary>
    public static void Prepare(TemporaryFolder folder)
    {
        var text = new StringWriter();
        var random = new Random(1);
        string[] words = ["the", "value", "of", "a", "string", "returns", "object", "method", "when", "is", "null", "thrown"];
        for (int i = 0; i < 4000; i++)
            text.Write(words[random.Next(words.Length)] + (i % 12 == 11 ? ".\n" : " "));
        File.WriteAllText(folder.PathOf("corpus.txt"), text.ToString());
        CorpusPreparer.Prepare(new CorpusOptions { Inputs = [folder.PathOf("corpus.txt")], Output = folder.PathOf("data"), Tokenizer = "bytes", Threads = 1 });
    }
}
