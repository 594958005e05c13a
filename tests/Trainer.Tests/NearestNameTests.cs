namespace Trainer.Tests;

public sealed class NearestNameTests
{
    [TestCase("trian", "train")]
    [TestCase("Prepare", "prepare")]
    [TestCase("--seqlen", "--seq-len")]
    [TestCase("benchmark", null)]
    [TestCase("pre", "prepare")]
    [TestCase("xyzzy", null)]
    [TestCase("", null)]
    public void Finds_what_was_probably_meant(string written, string? meant) =>
        Assert.That(NearestName.Of(written, ["train", "prepare", "sample", "--seq-len", "--steps"]), Is.EqualTo(meant));
}
