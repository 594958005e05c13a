using System.Text;
using Trainer.Cli.Display;

namespace Trainer.Tests.Cli;

public sealed class ProgressWriterTests
{
    [Test]
    public void What_cannot_be_written_is_given_up()
    {
        using var progress = new ProgressWriter(new FullDisk());
        Assert.That(() =>
        {
            progress.Write('a');
            progress.Write("b");
            progress.WriteLine("c");
            progress.WriteLine(new InvalidOperationException());
            progress.Flush();
        }, Throws.Nothing);
    }

    [Test]
    public void What_can_be_written_is_passed_on()
    {
        using var written = new StringWriter { NewLine = "\n" };
        using var progress = new ProgressWriter(written);
        progress.Write('a');
        progress.Write("b");
        progress.WriteLine("c");
        Assert.That(written.ToString(), Is.EqualTo("abc\n"));
    }

    private sealed class FullDisk : TextWriter
    {
        public override Encoding Encoding => Encoding.UTF8;

        public override void Write(char value) => throw new IOException("No space left on device");
    }
}
