using System.Reflection;
using System.Security;
using System.Text;
using System.Text.RegularExpressions;
using NUnit.Framework.Api;
using NUnit.Framework.Internal;
using Trainer.Cuda;
using Trainer.DeviceTests;

// Before anything asks for it: the tests run on the driver of this machine, or on that of the folder in TRAINER_CUDA_LIBRARIES.
const string variable = "TRAINER_TEST_DEVICE";
if (Environment.GetEnvironmentVariable(variable) is null)
    Environment.SetEnvironmentVariable(variable, "cuda");
Console.OutputEncoding = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false);

if (args.Any(text => text.StartsWith('-')))
{
    Console.WriteLine(
        """
        Runs the tests of the CUDA backend and of its kernels on the GPU of this machine.

        Usage: trainer-tests [TEXT...]

        With TEXT, only the tests whose full name contains one of them, whatever the case: trainer-tests GemmTests Training
        TRAINER_CUDA_LIBRARIES=DIR in the environment makes DIR the only place to look for CUDA's libraries.

        Ends with 0 if tests were run and none failed, 1 if one failed, 2 if none was run.
        """);
    return args is ["--help"] ? 0 : 2;
}

// Some tests need no device, and would pass without one.
if (CudaProbe.Run().Problem is { } problem)
{
    Console.Error.WriteLine($"no test is run: {problem}");
    return 2;
}

string texts = string.Concat(args.Select(text => $"<test re=\"1\">(?i){SecurityElement.Escape(Regex.Escape(text))}</test>"));
TestFilter filter = TestFilter.FromXml($"<filter><and><cat>Device</cat>{(texts.Length > 0 ? $"<or>{texts}</or>" : string.Empty)}</and></filter>");
using var progress = new Progress(Console.Out);
foreach (string assembly in (ReadOnlySpan<string>)["Trainer.Tests", "Trainer.KernelTests"])
{
    // One after the other: each opens the device for itself, and the backend's tests end with a look at what is left on it.
    var runner = new NUnitTestAssemblyRunner(new DefaultTestAssemblyBuilder());
    runner.Load(Assembly.Load(assembly), new Dictionary<string, object>());
    runner.Run(progress, filter);
}

progress.WriteSummary();
return progress.Failed > 0 ? 1 : progress.Passed > 0 ? 0 : 2;
