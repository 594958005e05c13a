using Trainer.Checkpoints;

namespace Trainer.Tests.Checkpoints;

public sealed class RunDirectoryTests
{
    private TemporaryFolder _directory = null!;

    [SetUp]
    public void Make() => _directory = new TemporaryFolder();

    [TearDown]
    public void Delete() => _directory.Dispose();

    [Test]
    public void A_run_is_created_and_resumed()
    {
        string path = _directory.PathOf("runs/first");
        using (RunDirectory run = RunDirectory.Create(path))
        {
            run.WriteConfig("{\"steps\":1}"u8);
            run.WriteConfig("{\"steps\":2}"u8);
        }

        using RunDirectory resumed = RunDirectory.Resume(path);
        Assert.That(File.ReadAllText(resumed.Paths.Config), Is.EqualTo("{\"steps\":2}"));
        Assert.That(Directory.GetFiles(path).Select(file => Path.GetFileName(file)), Is.EquivalentTo(new[] { "config.json", "run.lock" }));
        Assert.That(resumed.Paths.Metrics, Is.EqualTo(Path.Combine(path, "metrics.jsonl")));
        Assert.That(resumed.Paths.Checkpoints, Is.EqualTo(Path.Combine(path, "checkpoints")));
    }

    [TestCase("config.json")]
    [TestCase("metrics.jsonl")]
    public void A_folder_with_a_run_is_not_overwritten(string file)
    {
        File.WriteAllText(_directory.PathOf(file), "");
        Assert.That(() => RunDirectory.Create(_directory.Path),
            Throws.TypeOf<RequestException>().With.Message.Contains("--resume").And.Message.Contains("another --run"));
    }

    [Test]
    public void A_folder_with_other_files_can_be_used()
    {
        File.WriteAllText(_directory.PathOf("notes.txt"), "");
        using RunDirectory run = RunDirectory.Create(_directory.Path);
        Assert.That(run.Paths.Root, Is.EqualTo(_directory.Path));
    }

    [Test]
    public void A_folder_without_a_run_cannot_be_resumed()
    {
        Assert.That(() => RunDirectory.Resume(_directory.PathOf("none")), Throws.TypeOf<RequestException>().With.Message.Contains("no run to resume"));
    }

    [Test]
    public void Two_cannot_train_into_one_run()
    {
        using (RunDirectory run = RunDirectory.Create(_directory.Path))
        {
            run.WriteConfig("{}"u8);
            Assert.That(() => RunDirectory.Resume(_directory.Path), Throws.TypeOf<RequestException>().With.Message.Contains("in use"));
            Assert.That(() => RunDirectory.Create(_directory.Path), Throws.TypeOf<RequestException>().With.Message.Contains("in use"));
        }

        RunDirectory.Resume(_directory.Path).Dispose();
    }

    [Test]
    [Platform(Exclude = "Win")]
    public void A_lock_that_cannot_be_opened_is_not_taken_for_another_process()
    {
        File.CreateSymbolicLink(_directory.PathOf("run.lock"), _directory.PathOf("run.lock"));
        Assert.That(() => RunDirectory.Create(_directory.Path), Throws.TypeOf<RequestException>().With.Message.Contains("cannot be written"));
    }

    [Test]
    public void A_run_that_did_not_begin_leaves_what_was_there()
    {
        RunDirectory.Create(_directory.PathOf("new")).Abandon();
        Assert.That(Directory.Exists(_directory.PathOf("new")), Is.False);
        RunDirectory.Create(_directory.Path).Abandon();
        Assert.That(Directory.EnumerateFileSystemEntries(_directory.Path), Is.Empty);

        RunDirectory begun = RunDirectory.Create(_directory.PathOf("begun"));
        begun.WriteConfig("{}"u8);
        begun.Abandon();
        RunDirectory.Resume(_directory.PathOf("begun")).Dispose();
    }

    [Test]
    public void A_path_that_is_a_file_is_refused()
    {
        File.WriteAllText(_directory.PathOf("file"), "");
        Assert.That(() => RunDirectory.Create(_directory.PathOf("file")), Throws.TypeOf<RequestException>().With.Message.Contains("cannot be made"));
    }
}
