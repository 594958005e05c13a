using Trainer.Data;
using Trainer.Experiments;
using Trainer.Tests.Training;
using Trainer.Training;

namespace Trainer.Tests.Experiments;

public sealed class LabCorpusTests
{
    [Test]
    public void The_vocabulary_is_what_occurs_and_the_text_stays_the_same()
    {
        using var folder = new TemporaryFolder();
        SmallCorpus.Prepare(folder);
        var dataset = Dataset.Open(folder.PathOf("data"));
        TrainingSettings settings = LabCorpus.Use(() => dataset, folder.PathOf("text"), new TrainingSettings());
        using TrainingData text = TrainingData.Open(settings);
        using TokenCorpus bytes = dataset.OpenTrain();
        int[] found = new int[text.Train.Tokens], original = new int[bytes.Tokens];
        text.Train.Shards.Single().Copy(0, found, text.Vocabulary);
        bytes.Shards.Single().Copy(0, original, dataset.Tokenizer.VocabularySize);
        Assert.That(text.Vocabulary, Is.EqualTo(settings.VocabSize).And.LessThan(40));

        // One id for each character, and one character for each id.
        Assert.That(found.Zip(original).Distinct().Count(), Is.EqualTo(found.Distinct().Count()).And.EqualTo(original.Distinct().Count()));

        // What is made once is not made again.
        Assert.That(LabCorpus.Use(() => throw new InvalidOperationException(), folder.PathOf("text"), new TrainingSettings()), Is.EqualTo(settings));
    }

    [Test]
    public void Training_can_be_on_the_first_tokens_alone()
    {
        using var folder = new TemporaryFolder();
        SmallCorpus.Prepare(folder);
        var settings = new TrainingSettings { Data = folder.PathOf("data") };
        using TrainingData whole = TrainingData.Open(settings), part = TrainingData.Open(settings with { TrainTokens = 500 }), more = TrainingData.Open(settings with { TrainTokens = int.MaxValue });
        Assert.That((part.Train.Tokens, part.Validation.Tokens), Is.EqualTo((500L, whole.Validation.Tokens)));
        Assert.That(more.Train.Tokens, Is.EqualTo(whole.Train.Tokens));
        int[] first = new int[500], found = new int[500];
        whole.Train.Shards[0].Copy(0, first, whole.Vocabulary);
        part.Train.Shards[0].Copy(0, found, part.Vocabulary);
        Assert.That(found, Is.EqualTo(first));
    }

    [Test]
    public void A_vocabulary_is_said_of_shards_only() => Assert.That(() => new TrainingSettings { VocabSize = 65 }.Validate(),
        Throws.TypeOf<RequestException>().With.Message.Contains("--vocab-size").And.Message.Contains("--train-data"));
}
